"""Valid files and bodies, made wrong at random: bits, missing pieces, impossible values.

Everything is a function of what it is given and of the generator.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400),
    *(0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf")),
    *("", " ", "x" * 5000, "0", "nan", "\x00", "\ud800", "😀", "../../etc/passwd", "{{7*7}}", "&a"),
    *([], {}, [None], {"": ""}, [[]] * 50, {"name": {"name": {}}}),
)
"""Values that stand for others; ``nested`` adds to them."""
DEPTH: Final = 3000
"""Of lists in lists: beyond what recursion takes."""
PIECE: Final = 64


def mutant(content: bytes, rng: random.Random) -> bytes:
    """Some bytes made wrong in one of several ways."""
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, cut, doubled, strewn)
    return rng.choice(ways)(content, rng)


def flipped(content: bytes, rng: random.Random) -> bytes:
    """With one to eight bits turned over."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Without its end, or without a piece."""
    start = rng.randrange(len(content) + 1)
    if rng.random() < 0.5:
        return content[:start]
    return content[:start] + content[start + rng.randint(1, PIECE) :]


def doubled(content: bytes, rng: random.Random) -> bytes:
    """With a piece of it twice, or somewhere else too."""
    start, place = rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)
    piece = content[start : start + rng.randint(1, PIECE)]
    return content[:place] + piece + content[place:]


def strewn(content: bytes, rng: random.Random) -> bytes:
    """With some random bytes in it."""
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randint(1, 16)) + content[place:]


def swapped(value: Any, rng: random.Random) -> Any:
    """The value with one to three parts of it of another type, missing, or under another name."""
    changed = deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        changed = _once(changed, rng)
    return changed


def _once(value: Any, rng: random.Random) -> Any:
    """Walk down at random, and change what is there."""
    inside: list[Any] = list(value) if isinstance(value, dict) else []
    if isinstance(value, list):
        inside = list(range(len(value)))
    if not inside or rng.random() < 0.15:
        return deepcopy(rng.choice(ODD))
    key = rng.choice(inside)
    if rng.random() < 0.1:
        del value[key]
    elif isinstance(value, dict) and rng.random() < 0.1:
        value[rng.choice(("", "x", "__class__", str(key).upper()))] = value.pop(key)
    else:
        value[key] = _once(value[key], rng)
    return value


def nested(key: str) -> bytes:
    """JSON of lists in lists in lists."""
    return b'{"%s":%s%s}' % (key.encode(), b"[" * DEPTH, b"]" * DEPTH)
