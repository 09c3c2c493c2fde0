-- Takes over this delivery, if it is promised and due.

local key, index, id = KEYS[1], KEYS[2], ARGV[2]
local owner, term = ARGV[3], tonumber(ARGV[4])
return take(key, index, id, read(key), owner, term)
