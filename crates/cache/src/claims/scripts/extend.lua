-- KEYS[1] the owner's claims, KEYS[2..] the scopes
-- ARGV[1] the owner, ARGV[2] the id, ARGV[3] milliseconds, ARGV[4..] place among the scopes of each part
local owner, id = ARGV[1], ARGV[2]
local own = redis.call('HGET', KEYS[1], id)
if not own or ends(own) <= now then
  return { 'over', 0 }
end
local till = math.max(ends(own), now + ARGV[3])
local parts = {}
for at = 4, #ARGV do
  local key, field = KEYS[1 + ARGV[at]], text(at - 4) .. ':' .. owner .. ':' .. id
  local value = redis.call('HGET', key, field)
  -- Evicted: others may have claimed it since.
  if not value then
    return { 'over', 0 }
  end
  parts[#parts + 1] = { key, field, value }
end
redis.call('HSET', KEYS[1], id, text(till) .. ':' .. after(own))
keep(KEYS[1], till)
for _, part in ipairs(parts) do
  redis.call('HSET', part[1], part[2], text(till) .. ':' .. after(part[3]))
  keep(part[1], till)
end
return { 'extended', text(till - now) }
