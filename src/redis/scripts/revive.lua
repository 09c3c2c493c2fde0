-- Puts a dead delivery back as it was before it was given up.

local record = read()
no_newer(record)
if not record then
  return 'unknown'
elseif record.stage ~= 'dead' then
  return 'not_dead'
elseif record.revivable <= now then
  return 'too_late'
end
record.deadline = record.revivable
record.stage = redis.call('HEXISTS', key, 'status') == 1 and 'stored' or 'running'
-- No lease from before is valid.
record.owner, record.attempt = string.rep('\0', 16), '0'
record.held, record.due = false, now
write(record, 'revived_after', record.run)
redis.call('HDEL', key, 'reason', 'about')
redis.call('ZREM', dead, id)
redis.call('ZREM', dead_ends, id)
return 'revived'
