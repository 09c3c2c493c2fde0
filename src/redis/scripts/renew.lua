-- Extends a lease.

if not ours or not record.held then
  return false
end
record.due = after_pause(ARGV[6])
write(record)
return true
