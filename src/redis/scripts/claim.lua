-- Starts a run, if none is under way and none has ended the delivery.

local key, index, id = KEYS[1], KEYS[2], ARGV[2]
local owner, term = ARGV[3], tonumber(ARGV[4])
local record = read(key)
local run = '1'
if record then
  if record.stage ~= 'running' or record.deadline then
    return standing(key, record)
  elseif record.held and record.owner == owner then
    -- Its claim again: the first reply was lost.
    run = record.run
  elseif record.due <= now then
    run = after(record.run)
  else
    return standing(key, record)
  end
end
write(key, index, id, {
  stage = 'running', owner = owner, run = run, attempt = '0', held = true, due = now + term,
})
return {'started', run}
