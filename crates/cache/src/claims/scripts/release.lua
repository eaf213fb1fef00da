-- KEYS[1] the owner's claims, KEYS[2] the mark that the id was released, KEYS[3..] the scopes
-- ARGV[1] the owner, ARGV[2] the id, ARGV[3] milliseconds that the mark is kept,
-- ARGV[4..] place among the scopes of each part
local owner, id = ARGV[1], ARGV[2]
local own = redis.call('HGET', KEYS[1], id)
redis.call('HDEL', KEYS[1], id)
for at = 4, #ARGV do
  redis.call('HDEL', KEYS[2 + ARGV[at]], text(at - 4) .. ':' .. owner .. ':' .. id)
end
-- A copy of the request that is still on its way must not bring it back.
redis.call('SET', KEYS[2], '', 'PX', ARGV[3])
if own and ends(own) > now then
  return 1
end
return 0
