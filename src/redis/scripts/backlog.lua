-- How many of a shard's deliveries are promised and how many are dead, of one layer, and
-- in how many milliseconds the record of the first promised one expires.

local ends, dead, dead_ends, layer = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
remove_ended(dead, dead_ends)
local first = redis.call('ZRANGEBYSCORE', ends, now + 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
return {
  string.format('%.0f', redis.call('ZCOUNT', ends, now + 1, '+inf')),
  -- Ids begin with the layer's digits.
  string.format('%.0f', redis.call('ZLEXCOUNT', dead, '[' .. layer, '(' .. layer .. 'g')),
  first[2] and string.format('%.0f', first[2] - now) or '',
}
