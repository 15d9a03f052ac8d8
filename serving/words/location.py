"""Where a user is, as inexactly as the business wants to know it.

The exact place is never kept: it is dropped, replaced by the centre of its cell in a grid, or
moved by noise, before anything else sees it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final, Self

from envs.errors import InputError

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius of the Earth (IUGG)."""
DECIMALS: Final = 5
"""Digits of a degree that a noisy place has, about a metre: the last bits of a float would tell
more than the noise hides (Andres et al., section 5; Mironov, CCS 2012)."""
FORM: Final = re.compile(r"(?P<kind>coarse|laplace):(?P<metres>[0-9]{1,7})")
LEAST_M: Final = 10
MOST_M: Final = 1_000_000


class BlurKind(StrEnum):
    """How a place is made inexact."""

    DROP = "drop"
    """Nothing is kept."""
    COARSE = "coarse"
    """The centre of a cell of a grid."""
    LAPLACE = "laplace"
    """Moved by noise: everything within METRES is about as likely as the place itself."""


@dataclass(frozen=True, slots=True)
class Blur:
    """Makes places inexact.

    ``coarse:METRES`` has rows of equal height, each cut into cells that are METRES wide at its
    middle. ``laplace:METRES`` is the planar Laplace mechanism of geo-indistinguishability (Andres,
    Bordenabe, Chatzikokolakis, Palamidessi: "Geo-Indistinguishability", CCS 2013) with
    1/epsilon = METRES: the noise goes in any direction, 2 x METRES far on average.
    """

    kind: BlurKind
    metres: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``drop``, ``coarse:METRES`` or ``laplace:METRES``.

        Raises:
            InputError: something else.
        """
        if text == BlurKind.DROP:
            return cls(BlurKind.DROP)
        found = FORM.fullmatch(text)
        if found is None or not LEAST_M <= int(found["metres"]) <= MOST_M:
            raise InputError(
                f"SCENELIFT_LOCATION is {text!r}: give drop, coarse:METRES or laplace:METRES "
                f"with {LEAST_M} to {MOST_M} metres"
            )
        return cls(BlurKind(found["kind"]), int(found["metres"]))

    def __call__(
        self, latitude: float, longitude: float, seed: bytes
    ) -> tuple[float, float] | None:
        """What may be kept of a place.

        Args:
            latitude: degrees north, -90 to 90.
            longitude: degrees east, -180 to 180.
            seed: what the noise is drawn from; the same seed moves a place in the same way.

        Returns:
            Latitude and longitude, the longitude from -180 up to but not 180; None for nothing.
        """
        if self.kind is BlurKind.DROP:
            return None
        if self.kind is BlurKind.COARSE:
            return cell_centre(latitude, longitude, self.metres)
        distance, turn = _two_uniforms(seed)
        radius_m = self.metres * gamma2_quantile(distance)
        moved = destination(latitude, longitude, radius_m, math.tau * turn)
        return round(moved[0], DECIMALS), _within(round(moved[1], DECIMALS))


def cell_centre(latitude: float, longitude: float, metres: float) -> tuple[float, float]:
    """Centre of the cell that a place lies in; rows and cells fit a whole number of times."""
    rows = max(1, round(math.pi * EARTH_RADIUS_M / metres))
    row = min(int((latitude + 90) / 180 * rows), rows - 1)  # the pole belongs to the last row
    middle = (row + 0.5) / rows * 180 - 90
    around_m = math.tau * EARTH_RADIUS_M * math.cos(math.radians(middle))
    cells = max(1, round(around_m / metres))
    cell = min(int((_within(longitude) + 180) / 360 * cells), cells - 1)
    return middle, (cell + 0.5) / cells * 360 - 180


def gamma2_quantile(chance: float) -> float:
    """The radius below which planar Laplace noise stays with this chance, in units of 1/epsilon.

    Solves 1 - (1 + x) exp(-x) = chance, elsewhere written as x = -1 - W((chance - 1) / e) with the
    branch W_-1 of Lambert's function. Newton's steps on the logarithm of both sides, a convex
    function, fall from the upper bound t + sqrt(2 t) to the root without passing it.

    Args:
        chance: in [0, 1).
    """
    target = -math.log1p(-chance)
    x = target + math.sqrt(2 * target)
    while x > 0:
        step = (x - math.log1p(x) - target) * (1 + x) / x
        if step <= 1e-12 * x:
            break
        x -= step
    return x


def destination(
    latitude: float, longitude: float, metres: float, bearing: float
) -> tuple[float, float]:
    """The place this far away along a great circle; across a pole or the date line like any other.

    Args:
        latitude: degrees north.
        longitude: degrees east.
        metres: how far.
        bearing: in which direction, radians from north.
    """
    angle, phi, turn = metres / EARTH_RADIUS_M, math.radians(latitude), math.radians(longitude)
    ahead, north = math.cos(angle), math.sin(angle) * math.cos(bearing)
    east = math.sin(angle) * math.sin(bearing)
    # Vectors, as the usual formula of angles knows only two directions at a pole.
    outward = ahead * math.cos(phi) - north * math.sin(phi)
    x = outward * math.cos(turn) - east * math.sin(turn)
    y = outward * math.sin(turn) + east * math.cos(turn)
    z = ahead * math.sin(phi) + north * math.cos(phi)
    return math.degrees(math.atan2(z, math.hypot(x, y))), _within(math.degrees(math.atan2(y, x)))


def _within(longitude: float) -> float:
    """The same longitude from -180 up to but not 180."""
    if -180 <= longitude < 180:
        return longitude  # digit by digit
    turned = (longitude + 180) % 360 - 180
    return -180.0 if turned >= 180 else turned


def _two_uniforms(seed: bytes) -> tuple[float, float]:
    """Two independent draws in [0, 1)."""
    drawn = blake2b(seed, person=b"location", digest_size=16).digest()
    first, second = (int.from_bytes(part) >> 11 for part in (drawn[:8], drawn[8:]))
    return first * 2.0**-53, second * 2.0**-53
