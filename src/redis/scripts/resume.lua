-- Takes over a promised delivery that is due: its next run can begin, or its next
-- attempt to send the answer.

local owner, term = ARGV[3], ARGV[4]
local record = read()
if not record or record.newer or not record.deadline or not is_over(record) then
  return false
end
if record.stage == 'running' then
  record.attempt = '0'
else
  record.attempt = after(record.attempt)
  -- Who held it last went away in the middle of an attempt.
  record.sent = record.held and 'perhaps' or record.sent
end
record.owner, record.held, record.due = owner, true, after_pause(term)
write(record)
local kept = redis.call('HMGET', key, 'delivery', 'status', 'document')
if record.stage == 'running' then
  return {id, record.run, record.attempt, kept[1]}
end
return {id, record.run, record.attempt, kept[1], kept[2], kept[3], record.sent}
