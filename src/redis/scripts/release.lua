-- Gives up a run without an answer.

if not ours or record.stage ~= 'running' then
  return false
end
if record.held then
  record.held, record.due = false, now + tonumber(ARGV[6])
  write(key, index, id, record)
end
return true
