-- Ends a run with its answer.

local status, document = ARGV[6], ARGV[7]
local function is_answer()
  local known = redis.call('HMGET', key, 'status', 'document')
  return known[1] == status and known[2] == document
end

if record.stage == 'running' and ours and record.held then
  if not record.deadline then
    close(record, 'answered', 'status', status, 'document', document)
    return 'answered'
  end
  -- The lease becomes that of the first attempt to post it.
  record.stage, record.attempt, record.posted = 'stored', '1', 'no'
  write(record, 'status', status, 'document', document)
  return 'stored'
end
-- A repeated step: the first reply was lost.
if record.stage == 'answered' and ours and is_answer() then
  return 'answered'
elseif record.stage == 'stored' and record.held and attempt == '0'
    and is_lease(record, owner, run, '1') and is_answer() then
  return 'stored'
end
return false
