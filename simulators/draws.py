"""Luck: every draw is a function of (seed, user, opportunity, purpose) and of nothing else.

A user meets the same luck in any batch, on any worker and under any policy, and a draw that is
not used shifts no other. The generator is SplitMix64 (Steele, Lea and Flood 2014) with one stream
a user; a 64-bit word serves two purposes with 32 bits each.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

PURPOSES: Final = 64
"""Purposes that are reserved; more than there are now, so that a new one moves no other."""
BLOCKS: Final = PURPOSES // 2
"""Words an opportunity has."""

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_HALF: Final = np.uint64(32)
_LOW: Final = np.uint64(0xFFFFFFFF)


class Purpose(IntEnum):
    """What a draw decides. The numbers are part of every trace: never renumber.

    Two that are needed together share a word, an even number and the next.
    """

    DWELL = 0
    """How long a user stays in the scene."""
    SCENE = 1
    """Where the user goes next."""
    MINUTE = 2
    """At which minute of the hour."""
    NEED = 3
    """Whether the need moves on."""
    BROWSE = 4
    """Whether the user looks around."""
    LEAVE = 5
    """Whether the user leaves for good."""
    ACTION = 6
    """Which action of the policy's row."""
    SEE = 7
    """Whether a contact is seen."""
    CLICK = 8
    """Whether a seen contact is clicked."""
    REFUSE = 9
    """Whether an unclicked contact is dismissed or refused for good."""
    OPT_OUT = 10
    """Whether a seen contact costs the channels of its group."""
    LATER = 11
    """Whether and when a purchase follows later."""
    BUY = 12
    """Whether the user buys here, with a contact or without."""
    BASKET = 13
    """How much the user buys."""
    RETURNED = 14
    """Whether and when a purchase is returned."""
    SERVICE = 15
    """Whether a purchase leads to a service contact."""
    CART = 16
    """Whether something goes into the basket."""
    FAVOUR = 17
    """Whether something is kept as a favourite."""
    CATEGORY = 18
    """Of which category the need is that ripens."""
    RETURN = 19
    """Whether a user who left channels comes back to them."""
    HOUR = 20
    """When within the interval something happens."""
    SIGNAL_PLACE = 24
    """The signals of a scene; device and what is missing are drawn once a user as well."""
    SIGNAL_MOTION = 25
    SIGNAL_DEVICE = 26
    SIGNAL_NETWORK = 27
    SIGNAL_PAGE = 28
    SIGNAL_CATEGORY = 29
    SIGNAL_WEATHER = 30
    SIGNAL_MISSING = 31
    BLANK = 32
    """What a stressed world leaves blank."""
    ARCHETYPE = 40
    """The rest are drawn once a user."""
    NEEDS = 41
    LOYALTY = 42
    BASKET_SIZE = 43
    DEALS = 44
    REACH = 45
    TIRING = 46
    FORGIVING = 47
    TEMPER = 48
    DEPARTING = 49
    STAGE = 50
    CONSENT = 51
    PAST = 52
    FAVOURITE = 53
    TASTE_1 = 54
    TASTE_2 = 55
    TASTE_3 = 56
    TASTE_4 = 57


TRAITS: Final = -1
"""The opportunity at which a user's traits are drawn, before the first."""


def user_keys(seed: int, user: NDArray[np.int64]) -> Words:
    """Where each user's stream begins, uint64 [N]."""
    start = _mixed(np.asarray([seed % 2**64], np.uint64) + _GOLDEN)
    return _mixed(_mixed(user.astype(np.uint64) * _GOLDEN) ^ start)


def uniforms(
    seed: int, user: NDArray[np.int64], opportunity: NDArray[np.int64] | int, purpose: Purpose
) -> NDArray[np.float64]:
    """One uniform number a user, in the open interval (0, 1), float64 [N].

    Args:
        seed: of the world.
        user: ids, int64 [N].
        opportunity: how many opportunities the user has had before, int64 [N] or one number.
        purpose: what it decides.
    """
    opportunities = np.broadcast_to(np.asarray(opportunity, np.int64), user.shape)
    return Luck(user_keys(seed, user), opportunities).uniform(purpose)


class Luck:
    """The draws of N users at one opportunity each."""

    def __init__(self, keys: Words, opportunity: NDArray[np.signedinteger[Any]]) -> None:
        """Keys from ``user_keys``, uint64 [N], and the opportunities, whole numbers [N]."""
        self._states = keys + opportunity.astype(np.uint64) * _times_golden(BLOCKS)
        self._words: dict[int, Words] = {}

    def uniform(self, purpose: Purpose) -> NDArray[np.float64]:
        """In the open interval (0, 1), with 32 random bits, float64 [N]."""
        block, second = divmod(int(purpose), 2)
        word = self._words.get(block)
        if word is None:
            word = self._words[block] = _mixed(self._states + _times_golden(block))
        return _uniform(word & _LOW if second else word >> _HALF)

    def several(self, purposes: Sequence[Purpose]) -> NDArray[np.float64]:
        """The draws of each purpose, in the open interval (0, 1), float64 [P, N]."""
        numbers = np.asarray(purposes, np.uint64)[:, None]
        words = _mixed(self._states + numbers // np.uint64(2) * _GOLDEN)
        return _uniform(np.where(numbers % np.uint64(2), words & _LOW, words >> _HALF))

    def take(self, rows: NDArray[np.int64]) -> Luck:
        """The luck of some of the users."""
        taken = Luck.__new__(Luck)
        taken._states = self._states.take(rows)
        taken._words = {block: word.take(rows) for block, word in self._words.items()}
        return taken


def _uniform(half: Words) -> NDArray[np.float64]:
    """From 32 random bits each."""
    numbers = np.multiply(half, 2.0**-32)
    numbers += 2.0**-33
    return numbers


def _times_golden(block: int) -> np.uint64:
    return np.uint64((block * int(_GOLDEN)) % 2**64)


def _mixed(words: Words) -> Words:
    """The output function of SplitMix64; changes ``words`` in place."""
    words ^= words >> np.uint64(30)
    words *= _FIRST
    words ^= words >> np.uint64(27)
    words *= _SECOND
    words ^= words >> np.uint64(31)
    return words
