-- How a delivery stands.

local record = read()
no_newer(record)
return record and standing(record)
