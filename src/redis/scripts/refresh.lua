-- Replaces the delivery of a promise.

local record = read()
if record and not record.newer and record.deadline then
  redis.call('HSET', key, 'delivery', ARGV[3])
end
return false
