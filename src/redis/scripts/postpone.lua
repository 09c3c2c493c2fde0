-- Ends an attempt to post the answer.

if not ours or record.stage ~= 'stored' then
  return false
end
if record.held then
  record.held, record.due = false, after_pause(ARGV[6])
  if ARGV[7] == 'perhaps' then
    record.posted = 'perhaps'
  end
  write(record)
end
return true
