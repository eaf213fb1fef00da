-- A claim is a field of its owner's hash, and a field for each of its parts in the hash of the part's scope.
-- The owner's: id -> 'end:record'. A scope's: 'part:owner:id' -> 'end:from:to:takes:company:record', the
-- company empty for a claim that is alone. Times are milliseconds of this server's clock.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if not string.find(redis.call('INFO', 'replication'), 'role:master', 1, true) then
  return redis.error_reply('VACANCYREPLICA this server is a replica')
end
local function text(integer)
  return string.format('%.0f', integer)
end
local function ends(value)
  return tonumber(string.match(value, '^(%d+):'))
end
local function after(value)
  return string.sub(value, string.find(value, ':', 1, true) + 1)
end
-- The fields of a hash and their values, without those that are over, which are removed.
local function alive(key)
  local all = redis.call('HGETALL', key)
  local fields = {}
  for i = 1, #all, 2 do
    if ends(all[i + 1]) > now then
      fields[#fields + 1] = { all[i], all[i + 1] }
    else
      redis.call('HDEL', key, all[i])
    end
  end
  return fields
end
-- Keeps a hash no shorter than until a field of it ends.
local function keep(key, till)
  if redis.call('PTTL', key) < till - now then
    redis.call('PEXPIRE', key, text(till - now))
  end
end
