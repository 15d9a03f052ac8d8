"""What Redis does in one step with links between users. Each script is safe to run twice.

A user is one string: a letter for what it is, S or L, then eight bytes of version; see ``records``.
"""

from __future__ import annotations

from typing import Final

from serving.store.scripts import Script

CLAIM: Final = Script("""
if redis.call('GETRANGE', KEYS[1], 0, 0) == 'L' then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
""")
"""KEYS person, linked. ARGV identity, seconds to keep it.
Returns 0 when the person leads to somebody else, 1 when the identity is noted."""

LINK: Final = Script("""
local version = redis.call('GETRANGE', KEYS[1], 1, 8)
if version == ARGV[2] then return 1 end
if version ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
redis.call('XADD', KEYS[2], '*', 'l', ARGV[5])
return 1
""")
"""KEYS identity, stream. ARGV version, version of the link, link, seconds to keep it, journal text.
Returns 0 for a lost race, 1 when linked."""

MERGE: Final = Script("""
if redis.call('SISMEMBER', KEYS[2], ARGV[4]) == 1 then return 1 end
if redis.call('GETRANGE', KEYS[1], 1, 8) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('SADD', KEYS[2], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
""")
"""KEYS person, merged. ARGV version, merged person, seconds to keep them, versions of the links
whose pending states are in it. Returns 0 for a lost race, 1 when merged now or before."""

REPLACE: Final = Script("""
local version = redis.call('GETRANGE', KEYS[1], 1, 8)
if version == string.sub(ARGV[2], 2, 9) then return 1 end
if version ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
""")
"""KEYS user. ARGV version, value, seconds to keep it. Returns 0 for a lost race, 1 when written."""
