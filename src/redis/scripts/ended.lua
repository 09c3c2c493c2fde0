-- Removes some of an index's entries whose records have expired.
local function remove_ended(index, ends)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', index, id)
    redis.call('ZREM', ends, id)
  end
end
