"""The words of a caller, understood against the catalogue: a scene's name becomes its index."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY, EPOCH, known_zone, parse_time
from envs.errors import InputError
from serving.words.bodies import Attributes
from serving.words.failures import Failure, shortened

AHEAD_S: Final = DAY
"""How far a caller's clock may be ahead of ours. A time beyond it is a mistake that would let all
that is known of the user look old."""


class Vocabulary:
    """The names of one catalogue. Every method raises Failure (422) for what it does not know."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._index = {
            "scene": {part.name: k for k, part in enumerate(catalogue.scenes)},
            "channel": {part.name: k for k, part in enumerate(catalogue.channels)},
            "offer": {part.name: k for k, part in enumerate(catalogue.offers)},
            "attribute": {part.name: k for k, part in enumerate(catalogue.attributes)},
        }

    def index(self, kind: str, name: str, field: str) -> int:
        """Index of a scene, channel, offer or attribute."""
        known = self._index[kind]
        if name not in known:
            raise Failure(
                422,
                f"unknown_{kind}",
                f"{kind} {shortened(name)} is not in the catalogue; it has {', '.join(known)}",
                field,
            )
        return known[name]

    def index_or_none(self, kind: str, name: str | None, field: str) -> int:
        """The same, and -1 where none is named."""
        return -1 if name is None else self.index(kind, name, field)

    def time(self, text: str, field: str) -> int:
        """Seconds since the epoch of ``envs.clock``, a day ahead of now at most."""
        try:
            seconds = parse_time(text)
        except (InputError, OverflowError) as error:
            raise Failure(422, "invalid_time", str(error), field) from None
        if seconds > time.time() - EPOCH.timestamp() + AHEAD_S:
            problem = f"time {shortened(text)} is more than a day ahead: check the sender's clock"
            raise Failure(422, "invalid_time", problem, field)
        return seconds

    def zone(self, name: str | None, field: str) -> str | None:
        """The time zone, if one is named."""
        if name is not None and not known_zone(name):
            raise Failure(
                422,
                "unknown_time_zone",
                f"time zone {shortened(name)} does not exist: use an IANA name, e.g. Europe/Berlin",
                field,
            )
        return name

    def attributes(self, told: Attributes, field: str) -> NDArray[np.float32]:
        """Values as the user state keeps them, NaN where not told, float32 [J]."""
        values = np.full(len(self._catalogue.attributes), np.nan, np.float32)
        for name, value in told.items():
            place = f"{field}.{name}"
            index = self.index("attribute", name, place)
            try:
                values[index] = self._catalogue.attributes[index].number(value)
            except ValueError as error:
                raise Failure(422, "invalid_attribute", str(error), place) from None
        return values
