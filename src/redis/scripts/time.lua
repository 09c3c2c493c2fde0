-- The time on the server's clock, in milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- No lease and no pause is longer. What seems to end later was written before the
-- clock was set back, and counts as over.
local longest = 7200000
