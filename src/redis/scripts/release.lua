-- Ends a run without an answer.

if not ours or record.stage ~= 'running' then
  return false
end
if record.held then
  record.held, record.due = false, after_pause(ARGV[6])
  write(record)
end
return true
