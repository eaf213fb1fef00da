-- KEYS[2] the entry, KEYS[3..] its fences; ARGV[2] milliseconds that a fence is kept
local entry = redis.call('GET', KEYS[2])
local fences = {}
for i = 3, #KEYS do
  local fence = redis.call('GET', KEYS[i])
  if not fence or string.match(fence, '^[^|]*') ~= incarnation then
    fence = incarnation .. '|' .. text(number) .. '||'
    redis.call('SET', KEYS[i], fence, 'PX', ARGV[2])
  elseif not entry then
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
  end
  fences[#fences + 1] = fence
end
return { incarnation, text(number), text(now), entry, fences }
