-- ARGV[2] the node, ARGV[3] '1' to be told of all nodes
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
local nodes = {}
if ARGV[3] == '1' then
  nodes = redis.call('HGETALL', KEYS[2])
end
return { incarnation, text(number), text(now), nodes }
