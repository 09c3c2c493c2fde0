-- The ids of some of a shard's dead deliveries: after one, or the first.
--
-- The next script declares and reads their records.

local dead, dead_ends, after = KEYS[1], KEYS[2], ARGV[1]
remove_ended(dead, dead_ends)
return redis.call('ZRANGEBYLEX', dead, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, 100)
