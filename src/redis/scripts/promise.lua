-- Records the promise to do the work, with the delivery to do it with.

local delivery, deadline = ARGV[6], now + tonumber(ARGV[7])
if not ours or not record.held or record.stage ~= 'running' then
  return false
elseif record.deadline then
  -- A repeated step. A duplicate may have refreshed the delivery since.
  return true
end
record.deadline = deadline
write(record, 'delivery', delivery)
return true
