-- KEYS[1] the owner's claims, KEYS[2] the mark that the id was released, KEYS[3..] the scopes
-- ARGV[1] the owner, ARGV[2] the id, ARGV[3] milliseconds, ARGV[4] the most claims, ARGV[5] the record,
-- ARGV[6..] six per part: place among the scopes, from, to, places it takes, company, places there are
-- Gives what became of it, the place of the scope that is in the way, and milliseconds.
local owner, id, most, record = ARGV[1], ARGV[2], tonumber(ARGV[4]), ARGV[5]
if redis.call('EXISTS', KEYS[2]) == 1 then
  return { 'used', 0, 0 }
end
local till = now + ARGV[3]
local own = alive(KEYS[1])
local known = false
for _, claim in ipairs(own) do
  if claim[1] == id then
    if after(claim[2]) ~= record then
      return { 'used', 0, 0 }
    end
    known = true
    till = ends(claim[2])
  end
end
if not known and #own >= most then
  return { 'many', 0, 0 }
end
local scopes = {}
for place = 1, #KEYS - 2 do
  scopes[place] = {}
  for _, claim in ipairs(alive(KEYS[2 + place])) do
    local whose, which = string.match(claim[1], '^%d+:([^:]*):(.*)$')
    -- What a lost answer has left of this very claim is written again below.
    if whose ~= owner or which ~= id then
      local t, f, u, takes, company = string.match(claim[2], '^(%d+):(%-?%d+):(%-?%d+):(%d+):([^:]*):')
      scopes[place][#scopes[place] + 1] =
        { whose, tonumber(t), tonumber(f), tonumber(u), tonumber(takes), company }
    end
  end
end
for at = 6, #ARGV, 6 do
  local place, from, to = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local takes, company, places = tonumber(ARGV[at + 3]), ARGV[at + 4], tonumber(ARGV[at + 5])
  local taken, over, company_over = false, now, now
  if #scopes[place] >= most then
    return { 'full', place, 0 }
  end
  for _, other in ipairs(scopes[place]) do
    local whose, t, f, u, other_takes, other_company = unpack(other)
    if f < to and from < u then
      if company ~= '' and company == other_company then
        takes = takes + other_takes
        company_over = math.max(company_over, t)
      elseif whose ~= owner then
        taken = true
        over = math.max(over, t)
      end
    end
  end
  if company ~= '' and takes > places then
    taken = true
    over = math.max(over, company_over)
  end
  if taken then
    return { 'taken', place, text(over - now) }
  end
end
redis.call('HSET', KEYS[1], id, text(till) .. ':' .. record)
keep(KEYS[1], till)
for at = 6, #ARGV, 6 do
  local key = KEYS[2 + ARGV[at]]
  local part = text((at - 6) / 6)
  local what = ARGV[at + 1] .. ':' .. ARGV[at + 2] .. ':' .. ARGV[at + 3] .. ':' .. ARGV[at + 4]
  redis.call('HSET', key, part .. ':' .. owner .. ':' .. id, text(till) .. ':' .. what .. ':' .. record)
  keep(key, till)
end
return { 'claimed', 0, text(till - now) }
