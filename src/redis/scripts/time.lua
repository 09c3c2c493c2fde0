-- The server's clock, in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The longest lease or pause. One that seems to end later was written before the
-- clock was set back, and counts as over.
local longest = 7200000
