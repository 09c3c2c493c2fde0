-- Starts a run, unless one is in progress or the delivery has ended.

local owner, term = ARGV[3], ARGV[4]
local record = read()
no_newer(record)
local run = '1'
if record then
  if record.stage ~= 'running' or record.deadline then
    return standing(record)
  elseif record.held and record.owner == owner then
    -- A repeated claim: the first reply was lost.
    run = record.run
  elseif is_over(record) then
    run = after(record.run)
  else
    return standing(record)
  end
end
write({
  stage = 'running', owner = owner, run = run, attempt = '0', held = true,
  due = after_pause(term),
})
return {'started', run}
