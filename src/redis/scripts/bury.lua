-- Ends a promised delivery that can no longer succeed.

local reason = ARGV[6]
if ours and record.held and record.deadline then
  close(record, 'dead', 'reason', reason)
  return true
end
return ours and record.stage == 'dead' and redis.call('HGET', key, 'reason') == reason
