-- The id of the longest due of a shard's promised deliveries, if one is due.
--
-- The next script declares and reads its record. This one does not check that the
-- record exists: while a cluster moves a slot, existing keys may seem absent. An
-- entry is removed when its record has expired, and postponed until then: a record
-- that is absent, unreadable or of a newer version does not block the others.

local index, ends, pause = KEYS[1], KEYS[2], tonumber(ARGV[1])
remove_ended(index, ends)
local due = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 1)
if not due[1] then
  local far = string.format('(%.0f', now + longest)
  due = redis.call('ZRANGEBYSCORE', index, far, '+inf', 'LIMIT', 0, 1)
end
if not due[1] then
  return false
end
redis.call('ZADD', index, string.format('%.0f', now + pause), due[1])
return due[1]
