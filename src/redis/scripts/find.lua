-- How a delivery stands.

local record = read(KEYS[1])
return record and standing(KEYS[1], record)
