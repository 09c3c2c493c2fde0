-- Common to all steps under a lease.

local owner, run, attempt = ARGV[3], ARGV[4], ARGV[5]
local record = read()
-- A newer version of the receiver took over.
if not record or record.newer then
  return false
end
local ours = is_lease(record, owner, run, attempt)
-- Known deliveries continue even when memory is full: Redis lets a script go on
-- once it has written, and this write takes no memory.
local left = ours and redis.call('PTTL', key) or 0
if left > 0 then
  redis.call('PEXPIRE', key, left)
end
