-- Takes over a promised delivery that is due: its next run, or its next attempt
-- to send the answer.
local function take(key, index, id, record, owner, term)
  if not record or not record.deadline or record.due > now then
    return false
  end
  if record.stage == 'running' then
    record.run, record.attempt = after(record.run), '0'
  else
    record.attempt = after(record.attempt)
    -- Who held it last went away in the middle of an attempt.
    record.sent = record.held and 'perhaps' or record.sent
  end
  record.owner, record.held, record.due = owner, true, now + term
  write(key, index, id, record)
  local kept = redis.call('HMGET', key, 'delivery', 'status', 'document')
  if record.stage == 'running' then
    return {id, record.run, record.attempt, kept[1]}
  end
  return {id, record.run, record.attempt, kept[1], kept[2], kept[3], record.sent}
end
