"""What Redis does in one step with users and decisions. Each script is safe to run twice."""

from __future__ import annotations

from typing import Final

from serving.store.scripts import Script

READ: Final = Script("""
local found = redis.call('TIME')
for n = 1, #KEYS, 2 do
  found[#found + 1] = redis.call('GET', KEYS[n])
  found[#found + 1] = redis.call('HGET', KEYS[n + 1], 'answer')
end
return found
""")
"""KEYS user, decision, user, decision...
Returns the clock in seconds and microseconds, then each user and each decision's answer."""

COMMIT: Final = Script("""
local clock = redis.call('TIME')
local late = clock[1] * 1000000 + clock[2] > tonumber(ARGV[1])
local written = {}
for n = 1, (#KEYS - 3) / 3 do
  local user, decision, index = KEYS[3 * n + 1], KEYS[3 * n + 2], KEYS[3 * n + 3]
  local a = 7 * n - 1
  local version, value, cents = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 5])
  local stored = redis.call('HGET', decision, 'answer')
  if stored then written[n] = stored
  elseif late then written[n] = -1
  elseif value ~= '' and redis.call('GETRANGE', user, 1, 8) ~= version then written[n] = 0
  elseif value == '' and version ~= '' and redis.call('EXISTS', user) == 0 then written[n] = 0
  else
    local id = string.match(decision, '[^:]*$')
    if value ~= '' then redis.call('SET', user, value, 'EX', ARGV[2]) end
    redis.call('HSET', decision, 'answer', ARGV[a + 2], 'record', ARGV[a + 3])
    redis.call('EXPIRE', decision, ARGV[3])
    redis.call('ZADD', index, clock[1], id)
    if clock[2] % 16 == n % 16 then  -- now and then is often enough
      redis.call('ZREMRANGEBYSCORE', index, '-inf', clock[1] - ARGV[3])
    end
    redis.call('EXPIRE', index, ARGV[3])
    if cents > 0 and ARGV[a + 4] ~= '' then
      redis.call('HINCRBY', KEYS[3], ARGV[a + 4], cents)
      redis.call('EXPIRE', KEYS[3], ARGV[4])
    end
    if ARGV[a + 6] == '1' then
      redis.call('HSET', decision, 'state', 'deferred')
      redis.call('ZADD', KEYS[2], clock[1] + ARGV[5], id)
    end
    redis.call('XADD', KEYS[1], '*', 'd', ARGV[a + 3])
    written[n] = 1
  end
end
return written
""")
"""KEYS stream, waiting, spent, then user, decision, index of each decision.
ARGV microseconds of Redis's clock after which nobody waits for it, seconds to keep the user, the
decision and what was spent, seconds after which a deferred decision lapses, then of each decision:
version, user ('' = unchanged), answer, record, lease, cents, whether it is deferred.
Returns for each the stored answer, -1 when it came too late, 0 for a lost race, 1 when written."""

EVENTS: Final = Script("""
if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
for i = 4, #ARGV, 3 do
  local decision = KEYS[2 + ARGV[i]]
  if ARGV[i] ~= '0' and redis.call('EXISTS', decision) == 1 then
    redis.call('HSET', decision, ARGV[i + 1], ARGV[i + 2])
  end
  redis.call('XADD', KEYS[2], '*', 'e', ARGV[i + 2])
end
return 1
""")
"""KEYS user, stream, decisions. ARGV version, user, seconds to keep the user, then for each event:
which decision it belongs to (0 = none), its field there, its text.
Returns 0 for a lost race, 1 when written."""

ATTACH: Final = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], unpack(ARGV))
""")
"""KEYS decision. ARGV field, text... of events that belong to it: of a decision for an identity of
the person, in another slot."""

ACTIVATE: Final = Script("""
local state = redis.call('HGET', KEYS[2], 'state')
if state ~= 'deferred' then return state or '' end
if ARGV[2] ~= '' then
  if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[1] then return 0 end
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
redis.call('HSET', KEYS[2], 'state', 'activated')
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('XADD', KEYS[4], '*', 'a', ARGV[5])
return 1
""")
"""KEYS user, decision, waiting, stream. ARGV version, user ('' = unchanged), seconds to keep the
user, decision id, journal text.
Returns 1 when activated now, 0 for a lost race, else the state in which it is already."""

LAPSE: Final = Script("""
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'state') ~= 'deferred' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'lapsed')
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 then
  redis.call('HINCRBY', KEYS[4], ARGV[2], -ARGV[3])
end
redis.call('XADD', KEYS[3], '*', 'a', ARGV[4])
return 1
""")
"""KEYS decision, waiting, stream, spent. ARGV decision id, lease, cents, journal text.
Returns 1 when it lapses now, 0 when it was activated or has lapsed before."""

CLOCK: Final = Script("return redis.call('TIME')")
"""KEYS anything. Returns the clock of its node in seconds and microseconds."""

ALL: Final = (CLOCK, READ, COMMIT, EVENTS, ATTACH, ACTIVATE, LAPSE)
