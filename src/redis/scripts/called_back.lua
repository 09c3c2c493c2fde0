-- Ends a stored delivery: ConductorOne has received its answer.

if ours and record.held and record.stage == 'stored' then
  close(record, 'called_back')
  return true
end
return ours and record.stage == 'called_back'
