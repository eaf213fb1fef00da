redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'life', life, 'incarnation', ARGV[1], 'number', '0')
return { ARGV[1], '0', text(now) }
