-- ARGV[2] the node, ARGV[3] its pulses when it was last asked for
if redis.call('HGET', KEYS[2], ARGV[2]) == ARGV[3] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return { incarnation, text(number), text(now) }
