-- KEYS[2..] the fences
-- ARGV[2] milliseconds that a fence is kept, ARGV[3] records that it keeps, ARGV[4] the writer,
-- ARGV[5] '1' when nodes shall acknowledge, ARGV[6] the channel, ARGV[7] the partition, ARGV[8] the notice's body,
-- ARGV[9..] five per item: place among the fences, from, to, what to do, the hold:
--   'raise' '', 'hold' 'id=milliseconds', 'release' 'id'
number = number + 1
redis.call('HSET', KEYS[1], 'number', text(number))
local lost = {}
for at = 9, #ARGV, 5 do
  local key = KEYS[1 + ARGV[at]]
  local from, to, deed, hold = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local kept = tonumber(ARGV[2])
  local fence = redis.call('GET', key)
  local life, floor, log, holds
  if fence then
    life, floor, log, holds = string.match(fence, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
  end
  if life ~= incarnation then
    floor, log, holds = text(number - 1), '', ''
  end
  local records = {}
  for n, t, f, u in string.gmatch(log, '(%d+):(%d+):(%-?%d+):(%-?%d+);') do
    -- The same span again takes no room.
    if f ~= from or u ~= to then
      records[#records + 1] = { n, n .. ':' .. t .. ':' .. f .. ':' .. u .. ';' }
    end
  end
  records[#records + 1] = { text(number), text(number) .. ':' .. text(now) .. ':' .. from .. ':' .. to .. ';' }
  local first = math.max(1, #records - ARGV[3] + 1)
  if first > 1 then
    floor = records[first - 1][1]
  end
  local lines = {}
  for i = first, #records do
    lines[#lines + 1] = records[i][2]
  end
  local id, lasts = string.match(hold, '^([^=]+)=?(%d*)$')
  local found = false
  local held = {}
  for i, t, f, u in string.gmatch(holds, '([^:;]+):(%d+):(%-?%d+):(%-?%d+);') do
    if tonumber(t) > now then
      local same = i == id and f == from and u == to
      found = found or same
      if not same then
        held[#held + 1] = i .. ':' .. t .. ':' .. f .. ':' .. u .. ';'
        kept = math.max(kept, tonumber(t) - now + tonumber(ARGV[2]))
      end
    end
  end
  if deed == 'hold' then
    held[#held + 1] = id .. ':' .. text(now + lasts) .. ':' .. from .. ':' .. to .. ';'
    kept = math.max(kept, lasts + ARGV[2])
  elseif deed == 'release' and not found then
    lost[#lost + 1] = id
  end
  redis.call('SET', key, incarnation .. '|' .. floor .. '|' .. table.concat(lines) .. '|' .. table.concat(held), 'PX', text(kept))
end
local header = ARGV[7] .. '|' .. incarnation .. '|' .. text(number) .. '|' .. ARGV[4] .. '|' .. ARGV[5] .. '|'
redis.call('PUBLISH', ARGV[6], header .. ARGV[8])
return { incarnation, text(number), text(now), redis.call('HGETALL', KEYS[1]), lost }
