-- Common to all steps on a record: reads and writes it.

-- The record, and two indexes of its shard and layer: the promised deliveries by
-- when they are due, and by when their records expire. And two of its shard alone: the
-- dead deliveries, and by when their records expire.
local key, index, ends, dead, dead_ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- How long a record is kept after its last step, and its id in the indexes.
local retention, id = tonumber(ARGV[1]), ARGV[2]
-- The version of the record's format.
local version = 1

-- The delivery's record without its delivery and answer; nil if there is none. With
-- a deadline, which is the callback's, it is promised.
local function read()
  local fields = {
    'stage', 'owner', 'run', 'attempt', 'held', 'due', 'deadline', 'posted', 'version',
  }
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
  if record.stage == 'dead' then
    -- It is not promised any more, but can be revived until then.
    record.revivable, record.deadline = record.deadline, nil
  end
  -- Then nothing else in it can be interpreted.
  record.newer = tonumber(record.version) > version
  return record
end

-- Fails a step that cannot reply to a newer record.
local function no_newer(record)
  if record and record.newer then
    error('the record is of a newer version')
  end
end

local function is_over(record)
  return record.due <= now or record.due > now + longest
end

-- When a lease or a pause of this length ends.
local function after_pause(length)
  return now + math.min(tonumber(length), longest)
end

-- Keeps a key at least until this time.
local function keep(name, expires)
  local left = redis.call('PTTL', name)
  if left < 0 or now + left < expires then
    redis.call('PEXPIREAT', name, string.format('%.0f', expires))
  end
end

-- Writes a record, with more fields as alternating names and values.
local function write(record, ...)
  -- A promise is useless after its deadline, however often it is taken over.
  local expires = (record.deadline or math.max(now, record.due)) + retention
  -- First what may fail, since Redis does not roll back.
  if record.deadline then
    redis.call('ZADD', index, string.format('%.0f', record.due), id)
    redis.call('ZADD', ends, string.format('%.0f', expires), id)
    keep(index, expires)
    keep(ends, expires)
    redis.call('HSET', key, 'deadline', string.format('%.0f', record.deadline),
      'posted', record.posted or 'no')
  end
  redis.call('HSET', key, 'version', version, 'stage', record.stage, 'owner', record.owner,
    'run', record.run, 'attempt', record.attempt, 'held', record.held and '1' or '0',
    'due', string.format('%.0f', record.due), ...)
  redis.call('PEXPIREAT', key, string.format('%.0f', expires))
end

-- Ends a delivery, and keeps only its last lease.
local function close(record, stage, ...)
  redis.call('DEL', key)
  if record.deadline then
    redis.call('ZREM', index, id)
    redis.call('ZREM', ends, id)
  end
  record.stage, record.held, record.due, record.deadline = stage, false, now, nil
  write(record, ...)
end

local function is_lease(record, owner, run, attempt)
  return record.owner == owner and record.run == run and record.attempt == attempt
end

-- The number of the next run or attempt.
local function after(number)
  return string.format('%.0f', math.min(number + 1, 4294967295))
end

-- The state of a delivery, as a reply.
local function standing(record)
  if record.deadline then
    return {'promised'}
  elseif record.stage == 'running' then
    return {record.held and not is_over(record) and 'running' or 'released'}
  elseif record.stage == 'answered' then
    return {'answered', unpack(redis.call('HMGET', key, 'status', 'document'))}
  elseif record.stage == 'dead' then
    return {'dead', redis.call('HGET', key, 'reason')}
  end
  return {record.stage}
end
