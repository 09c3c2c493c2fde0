-- The state of a delivery.

local record = read()
no_newer(record)
return record and standing(record)
