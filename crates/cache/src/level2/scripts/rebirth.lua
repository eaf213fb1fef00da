redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'life', life, 'incarnation', candidate, 'number', '0')
return { candidate, '0', text(now) }
