-- KEYS[1] the owner's claims; ARGV[1] the id, if one is asked for
local own = {}
if ARGV[1] then
  local value = redis.call('HGET', KEYS[1], ARGV[1])
  own = value and { ARGV[1], value } or {}
else
  own = redis.call('HGETALL', KEYS[1])
end
local claims = {}
for i = 1, #own, 2 do
  if ends(own[i + 1]) > now then
    claims[#claims + 1] = { own[i], text(ends(own[i + 1]) - now), after(own[i + 1]) }
  end
end
return claims
