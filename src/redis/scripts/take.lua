-- Takes over the longest due of a shard's promised deliveries, if one is due.

local index, prefix = KEYS[1], ARGV[2]
local owner, term = ARGV[3], tonumber(ARGV[4])
-- Which record it will be is not known before, so it is not among KEYS. It is in
-- the same slot as the index, which is all that Redis and Valkey ask for.
--
-- Nothing else gets its turn meanwhile, so a mass of expired ones is not removed
-- in one go.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 100)) do
  local record = read(prefix .. id)
  if record and record.deadline then
    return take(prefix .. id, index, id, record, owner, term)
  end
  redis.call('ZREM', index, id)
end
return false
