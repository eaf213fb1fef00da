-- ARGV[2] the node, ARGV[3] '1' to be told of all nodes
-- The mark of a pulse never comes again in this incarnation: who was seen to be silent by one mark is not
-- forgotten for it after it has come back.
local mark = redis.call('HINCRBY', KEYS[1], 'pulses', 1)
redis.call('HSET', KEYS[1], 'n:' .. ARGV[2], text(mark))
local nodes = {}
if ARGV[3] == '1' then
  nodes = redis.call('HGETALL', KEYS[1])
end
return { incarnation, text(number), text(now), nodes }
