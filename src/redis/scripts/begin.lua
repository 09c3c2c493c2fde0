-- Begins the next run of a promised delivery.

local next = after(run)
-- Or a repeated step: the first reply was lost.
local is_known = ours or is_lease(record, owner, next, '0')
if attempt ~= '0' or not is_known or not record.held or not record.deadline
    or record.stage ~= 'running' then
  return false
end
record.run, record.due = next, after_pause(ARGV[6])
write(record)
return next
