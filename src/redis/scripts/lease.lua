-- What every step under a lease begins with.

local owner, run, attempt = ARGV[3], ARGV[4], ARGV[5]
local record = read()
-- A newer version has taken over.
if not record or record.newer then
  return false
end
local ours = is_lease(record, owner, run, attempt)
-- What is known is gone on with when memory is full, too: once a script has
-- written, Redis lets it, and this takes no memory.
local left = ours and redis.call('PTTL', key) or 0
if left > 0 then
  redis.call('PEXPIRE', key, left)
end
