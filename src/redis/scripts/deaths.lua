-- What is known of dead deliveries: nothing if one is not dead, is of a newer version, or
-- cannot be read.

local deaths = {}
for i, key in ipairs(KEYS) do
  local record = redis.pcall('HMGET', key, 'version', 'stage', 'due', 'deadline', 'run',
    'reason', 'about', 'status')
  local due, deadline = tonumber(record[3] or nil), tonumber(record[4] or nil)
  if record[1] == '1' and record[2] == 'dead' and due and deadline then
    local age, left = math.max(now - due, 0), math.max(deadline - now, 0)
    deaths[i] = {
      record[5], record[6], record[7], record[8] and 'answer' or '',
      string.format('%.0f', age), string.format('%.0f', left),
    }
  else
    deaths[i] = {}
  end
end
return deaths
