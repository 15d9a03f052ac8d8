"""What Redis does in one step with a budget and its leases. Each script is safe to run twice.

Two keys in one slot hold a period:

* the hash ``Space.budget(period)``: ``settled`` cents that closed leases have spent, ``open`` cents
  granted to leases that are open, ``used`` cents of these that their owners say are reserved;
  ``price``, ``carried``, ``stepped`` of the pace; of each open lease ``g:ID`` cents granted,
  ``u:ID`` cents used, ``n:ID`` how often its spend was changed from outside; of each closed lease
  ``c:ID`` cents spent. A closed lease is remembered as long as the period: nothing that comes late
  can open it again or count it twice.
* the sorted set ``...:open``: ids of open leases by their deadline, microseconds of Redis's clock.

A grant never lets ``settled + open`` exceed the budget, and no more is reserved of a lease than was
granted, so no period is overspent.
"""

from __future__ import annotations

from typing import Final

from serving.store.scripts import Script

TEND: Final = Script("""
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
if now > tonumber(ARGV[1]) then return {now} end
local budget, open = KEYS[1], KEYS[2]
local starts, ends = tonumber(ARGV[2]), tonumber(ARGV[3])
local inside = now >= starts and now < ends
local deadline = math.min(now + ARGV[4], ends)

local function number(field) return tonumber(redis.call('HGET', budget, field) or '0') end
local function closed(id) return redis.call('HEXISTS', budget, 'c:' .. id) == 1 end
local function keep(id)
  redis.call('ZADD', open, string.format('%.0f', deadline), id)
  return deadline
end
local function grant(id, cents)
  redis.call('HSET', budget, 'g:' .. id, cents)
  redis.call('HINCRBY', budget, 'open', cents)
  return keep(id)
end

local kept = {}
for i = 14, #ARGV, 3 do
  local id, cents, used = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local until_us = tonumber(redis.call('ZSCORE', open, id) or '0')
  if inside and until_us >= now then until_us = keep(id) end
  if inside and until_us == 0 and not closed(id) then until_us = grant(id, cents) end
  if until_us > 0 then
    redis.call('HINCRBY', budget, 'used', used - number('u:' .. id))
    redis.call('HSET', budget, 'u:' .. id, used)
  end
  kept[#kept + 1] = until_us
end

local id, granted, until_us = ARGV[12], 0, 0
if id ~= '' then granted = number('g:' .. id) end
if granted > 0 then
  until_us = tonumber(redis.call('ZSCORE', open, id))
elseif id ~= '' and inside and not closed(id) then
  local total, limit, held = tonumber(ARGV[7]), tonumber(ARGV[8]), number('open')
  local free = limit - number('settled') - held
  local share = math.max(tonumber(ARGV[11]), math.floor(free / ARGV[10]))
  local cents = math.min(tonumber(ARGV[13]), share, free)
  local last = held == 0 and limit >= total
  if cents > 0 and (free >= tonumber(ARGV[9]) or last) then
    granted, until_us = cents, grant(id, string.format('%.0f', cents))
  end
end

if inside and redis.call('HEXISTS', budget, 'price') == 0 then
  local before = redis.call('HMGET', KEYS[3], 'price', 'carried')
  redis.call('HSET', budget, 'price', before[1] or '0', 'carried', before[2] or '0')
end
redis.call('EXPIREAT', budget, ARGV[6])
redis.call('EXPIREAT', open, ARGV[6])

local due = {}
local over = string.format('(%.0f', now - ARGV[5])
for _, each in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', over, 'LIMIT', 0, 64)) do
  due[#due + 1] = each
  due[#due + 1] = number('n:' .. each)
end
local pace = redis.call('HMGET', budget, 'price', 'carried', 'stepped')
return {
  now, number('settled'), number('open'), number('used'),
  pace[1] or '0', pace[2] or '0', pace[3] or '0',
  granted, until_us, kept, due, redis.call('ZCARD', open)
}
""")
"""Renews the caller's leases, grants another, and tells how the period stands.

KEYS budget, open leases, budget of the period before. ARGV, times in microseconds of Redis's clock:
time after which the caller does not wait, start and end of the period, length of a lease, margin
after a deadline; second at which the keys expire; cents of the budget, cents that may be granted in
all by now, cents that the dearest action reserves, part of what is free that one grant may take,
cents of a slice, id of the wanted lease ('' = none), cents wanted; then id, cents granted and cents
used of each lease that the caller holds.

A grant that is known is told again. One that is smaller than the dearest action is made only of
the last money, when nobody holds any: else the rest of a budget would lie about in pieces that
serve nobody. A held lease that Redis does not know was lost with a server: it is opened again.
None is renewed after its deadline: somebody may be counting it already.

Returns the time alone when it came too late, else the time, settled, open, used, price, carried,
stepped, cents granted (0 = none) and their deadline, of each held lease its deadline (0 = closed),
id and changes of each lease past deadline and margin, and how many are open."""

CLOSE: Final = Script("""
local budget, again = KEYS[1], {}
if redis.call('EXISTS', budget) == 0 then return again end
for i = 1, #ARGV, 3 do
  local id, changes, spent = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local granted = redis.call('HGET', budget, 'g:' .. id)
  if granted and (redis.call('HGET', budget, 'n:' .. id) or '0') ~= changes then
    again[#again + 1] = id
    again[#again + 1] = redis.call('HGET', budget, 'n:' .. id)
  elseif redis.call('HSETNX', budget, 'c:' .. id, spent) == 1 then
    redis.call('HINCRBY', budget, 'settled', spent)
    redis.call('HINCRBY', budget, 'open', 0 - (granted or 0))
    redis.call('HINCRBY', budget, 'used', 0 - (redis.call('HGET', budget, 'u:' .. id) or 0))
    redis.call('HDEL', budget, 'g:' .. id, 'u:' .. id, 'n:' .. id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return again
""")
"""Closes leases: what they have spent is settled, the rest is free again.

KEYS budget, open leases. ARGV of each lease its id, the changes that were known before its spend
was read, and the spend in cents. Nothing may be committed against it any more.
Returns id and changes of each lease whose spend has to be read again."""

TAKE_BACK: Final = Script("""
local closed = {}
for _, id in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], 'g:' .. id) == 1 then
    redis.call('HINCRBY', KEYS[1], 'n:' .. id, 1)
  elseif redis.call('HEXISTS', KEYS[1], 'c:' .. id) == 1 then
    closed[#closed + 1] = id
  end
end
return closed
""")
"""Some spend of leases was taken back in its bucket: whoever is closing one reads it again.

KEYS budget. ARGV ids. Returns those that are closed: what they have spent has to be corrected."""

CORRECT: Final = Script("""
for i = 1, #ARGV, 2 do
  local id, spent = 'c:' .. ARGV[i], tonumber(ARGV[i + 1])
  local counted = tonumber(redis.call('HGET', KEYS[1], id) or '0')
  if spent < counted then
    redis.call('HINCRBY', KEYS[1], 'settled', spent - counted)
    redis.call('HSET', KEYS[1], id, ARGV[i + 1])
  end
end
return 1
""")
"""Lowers what closed leases have spent: it can only fall, so the lowest reading is the latest.

KEYS budget. ARGV id and spend in cents, read after the lease was closed."""
