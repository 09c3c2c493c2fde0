-- What every script begins with: the time, and how a record is read and written.

-- On the server's clock, in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- How long a record is kept after its last step.
local retention = tonumber(ARGV[1])

-- The delivery's record, without what callers keep in it; nil if there is none.
-- With a deadline, which is the callback's, it is promised.
local function read(key)
  local fields = {'stage', 'owner', 'run', 'attempt', 'held', 'due', 'deadline', 'sent'}
  local values = redis.call('HMGET', key, unpack(fields))
  if not values[1] then
    return nil
  end
  local record = {}
  for i, field in ipairs(fields) do
    record[field] = values[i]
  end
  record.held = record.held == '1'
  record.due = tonumber(record.due)
  record.deadline = tonumber(record.deadline)
  return record
end

-- Keeps a key until then at least.
local function keep(key, expires)
  local left = redis.call('PTTL', key)
  if left < 0 or now + left < expires then
    redis.call('PEXPIREAT', key, string.format('%.0f', expires))
  end
end

-- Writes a record and what callers keep in it, as names and values by turns.
-- `index` has the promised deliveries of the record's shard by when they are due.
local function write(key, index, id, record, ...)
  local expires = math.max(now, record.due, record.deadline or now) + retention
  -- First what may fail, since Redis takes nothing back.
  if record.deadline then
    redis.call('ZADD', index, string.format('%.0f', record.due), id)
    keep(index, expires)
    redis.call('HSET', key, 'deadline', string.format('%.0f', record.deadline),
      'sent', record.sent or 'no')
  end
  redis.call('HSET', key, 'stage', record.stage, 'owner', record.owner,
    'run', record.run, 'attempt', record.attempt, 'held', record.held and '1' or '0',
    'due', string.format('%.0f', record.due), ...)
  redis.call('PEXPIREAT', key, string.format('%.0f', expires))
end

-- Ends a delivery: of what was there before, nothing but the last lease is kept.
local function close(key, index, id, record, stage, ...)
  redis.call('DEL', key)
  if record.deadline then
    redis.call('ZREM', index, id)
  end
  record.stage, record.held, record.due, record.deadline = stage, false, now, nil
  write(key, index, id, record, ...)
end

local function is_lease(record, owner, run, attempt)
  return record.owner == owner and record.run == run and record.attempt == attempt
end

-- The number of the next run or attempt.
local function after(number)
  return string.format('%.0f', math.min(number + 1, 4294967295))
end

-- How a delivery stands, as a reply.
local function standing(key, record)
  if record.deadline then
    return {'promised'}
  elseif record.stage == 'running' then
    return {record.held and now < record.due and 'running' or 'released'}
  elseif record.stage == 'answered' then
    return {'answered', unpack(redis.call('HMGET', key, 'status', 'document'))}
  elseif record.stage == 'dead' then
    return {'dead', redis.call('HGET', key, 'reason')}
  end
  return {record.stage}
end
