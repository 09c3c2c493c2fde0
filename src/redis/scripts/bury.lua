-- Gives up a promised delivery, and keeps what it takes to do it again.

local reason, about = ARGV[6], ARGV[7]
if ours and record.held and record.deadline then
  -- The record outlives its last step, as any other.
  local deadline = math.max(record.deadline, now)
  local expires = deadline + retention
  -- First what may fail, since Redis does not roll back.
  redis.call('ZADD', dead, 0, id)
  redis.call('ZADD', dead_ends, string.format('%.0f', expires), id)
  keep(dead, expires)
  keep(dead_ends, expires)
  redis.call('HSET', key, 'stage', 'dead', 'held', '0', 'due', string.format('%.0f', now),
    'deadline', string.format('%.0f', deadline), 'reason', reason, 'about', about)
  redis.call('PEXPIREAT', key, string.format('%.0f', expires))
  redis.call('ZREM', index, id)
  redis.call('ZREM', ends, id)
  remove_ended(dead, dead_ends)
  -- An answer that is never posted.
  if redis.call('HGET', key, 'status') == '410' then
    redis.call('HDEL', key, 'status', 'document')
  end
  return true
end
if not ours or record.stage ~= 'dead' then
  return false
end
local known = redis.call('HMGET', key, 'reason', 'about')
return known[1] == reason and known[2] == about
