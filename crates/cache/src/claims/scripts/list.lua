-- KEYS the scopes; ARGV three per cover: place among the scopes, from, to
local scopes, claims, told = {}, {}, {}
for place = 1, #KEYS do
  scopes[place] = redis.call('HGETALL', KEYS[place])
end
for at = 1, #ARGV, 3 do
  local fields = scopes[tonumber(ARGV[at])]
  local from, to = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  for i = 1, #fields, 2 do
    local owner, id = string.match(fields[i], '^%d+:([^:]*):(.*)$')
    local t, f, u, record = string.match(fields[i + 1], '^(%d+):(%-?%d+):(%-?%d+):%d+:[^:]*:()')
    local name = owner .. ':' .. id
    if tonumber(t) > now and tonumber(f) < to and from < tonumber(u) and not told[name] then
      told[name] = true
      claims[#claims + 1] = { owner, id, text(t - now), string.sub(fields[i + 1], record) }
    end
  end
end
return claims
