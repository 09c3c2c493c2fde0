-- Takes over a promised delivery that is due, for its next run or its next attempt
-- to post the answer.

local owner, term = ARGV[3], ARGV[4]
local record = read()
if not record or record.newer or not record.deadline or not is_over(record) then
  return false
end
if record.stage == 'running' then
  record.attempt = '0'
else
  record.attempt = after(record.attempt)
  -- Its last holder crashed during an attempt.
  record.posted = record.held and 'perhaps' or record.posted
end
record.owner, record.held, record.due = owner, true, after_pause(term)
write(record)
local kept = redis.call('HMGET', key, 'delivery', 'revived_after', 'status', 'document')
local delivery, revived_after = kept[1], kept[2] or '0'
if record.stage == 'running' then
  return {id, record.run, record.attempt, revived_after, delivery}
end
return {id, record.run, record.attempt, revived_after, delivery, kept[3], kept[4], record.posted}
