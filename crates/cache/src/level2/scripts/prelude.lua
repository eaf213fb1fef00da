-- KEYS[1] the state of the partition: its life, incarnation and number, and for each node that may hold a
-- lease a field `n:` with the mark of its last pulse. All in one key, so that nothing of it is lost alone.
-- ARGV[1] a name that no other call has; with the time it is that of an incarnation, should one begin
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- The call may be sent twice by a client that got no answer, and the state be lost in between.
local candidate = ARGV[1] .. '.' .. clock[1] .. '.' .. string.format('%06d', clock[2])
local info = redis.call('INFO', 'replication')
if not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('VACANCYREPLICA this server is a replica')
end
local life = string.match(info, 'master_replid:(%x+)')
local state = redis.call('HMGET', KEYS[1], 'life', 'incarnation', 'number')
if not life or state[1] ~= life or not state[2] or not state[3] then
  -- A former life, or none: what was promised in it is not known here.
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'life', life or '', 'incarnation', candidate, 'number', '0')
  state = { life, candidate, '0' }
end
local incarnation, number = state[2], tonumber(state[3])
local function text(integer)
  return string.format('%.0f', integer)
end
