-- ARGV[2] the node, ARGV[3] the mark of its pulse when it was last asked for, ARGV[4] the incarnation then
if incarnation == ARGV[4] and redis.call('HGET', KEYS[1], 'n:' .. ARGV[2]) == ARGV[3] then
  redis.call('HDEL', KEYS[1], 'n:' .. ARGV[2])
end
return { incarnation, text(number), text(now) }
