-- Extends a lease.

if not ours or not record.held then
  return false
end
record.due = now + tonumber(ARGV[6])
write(key, index, id, record)
return true
