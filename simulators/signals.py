"""What an app really has when a user enters a scene: noisy, partly missing signals.

A pure function of traits, hidden state, moment and luck: asking for signals changes nothing, and
nobody who does not ask pays for them. The tables are in ``stories/signals.yaml``, every number of
them assumed; ``docs/world.md`` says how much they tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zlib import crc32

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from envs.catalogue import Catalogue
from envs.clock import DAY, EPOCH, hour_of_week
from envs.decisions import Moment
from envs.errors import InputError
from simulators.draws import Luck, Purpose, user_keys
from simulators.hidden import Hidden
from simulators.population import Traits
from simulators.presets import Preset

Codes = NDArray[np.int8]
Draws = NDArray[np.float64]
Permission = Literal["location", "motion"]
Chance = Annotated[float, Field(ge=0, le=1)]

MISSING: Final = -1
"""The code of a signal that is not there."""
FILE: Final = Path(__file__).parent / "stories" / "signals.yaml"
SEASONS: Final = ("winter", "spring", "summer", "autumn")
"""From December, March, June and September on."""
FIRST_SKY: Final = -2
"""Users from here downwards are time zones; their luck is the weather."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the app has of N users at one opportunity each; codes int8 [N], -1 is missing."""

    place_type: Codes
    motion: Codes
    device: Codes
    network: Codes
    page: Codes
    """The screen that was open last within the hour."""
    category: Codes
    """What that screen showed."""
    hour: Codes
    """Local hour of the day, 0 to 23."""
    weekday: Codes
    """Monday is 0."""
    weather: Codes
    """The same for all users of a time zone on a local day, where it can be read."""
    words: Mapping[str, tuple[str, ...]]
    """The word for each code, by signal; hour and weekday have none."""

    def codes(self) -> dict[str, Codes]:
        """The signals by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)[:-1]}


class Sensors:
    """Reads the signals of users in a catalogue's scenes."""

    def __init__(self, catalogue: Catalogue, preset: Preset, seed: int) -> None:
        """Tables by scene.

        Raises:
            InputError: a scene that the tables do not know.
        """
        tables = _tables()
        scenes = [scene.name for scene in catalogue.scenes]
        self._place = _Reader("place_type", tables.place_type, scenes)
        self._motion = _Reader("motion", tables.motion, scenes)
        self._phone = _Reader("phone", tables.phone, ["everybody"])
        self._device = _Reader("device", tables.device, scenes)
        self._network = _Reader("network", tables.network, scenes)
        self._page = _Reader("page", tables.page, ["idle", "open"])
        self._weather = _Reader("weather", tables.weather, SEASONS)
        self._permissions = tables.permissions
        self._offline = tables.offline
        self._right = tables.category.right
        shows = [page in tables.category.pages for page in tables.page.values]
        self._has_category = np.asarray([*shows, False])  # the last is that of the code MISSING
        zone = FIRST_SKY - crc32(preset.time_zone.encode())
        self._sky = user_keys(seed, np.asarray([zone]))
        self._words = {
            "place_type": tables.place_type.values,
            "motion": tables.motion.values,
            "device": tables.phone.values + tables.device.values[1:],
            "network": tables.network.values,
            "page": tables.page.values,
            "category": tuple(catalogue.categories),
            "weather": tables.weather.values,
        }

    def read(
        self, moment: Moment, traits: Traits, hidden: Hidden, luck: Luck, lasting: Luck
    ) -> Signals:
        """The signals of users where they stand.

        Args:
            moment: of the N users, as traits and hidden.
            traits: what they usually buy.
            hidden: the need that is open.
            luck: of the present opportunity.
            lasting: of the opportunity ``draws.TRAITS``: the phone they have, what they permit.
        """
        local, scene = moment.local(), moment.scene
        need = hidden.open_need(slice(None))
        place = self._place.read(scene, luck.uniform(Purpose.SIGNAL_PLACE))
        motion = self._motion.read(scene, luck.uniform(Purpose.SIGNAL_MOTION))
        page = self._page.read(need.astype(np.int64), luck.uniform(Purpose.SIGNAL_PAGE))
        hour = hour_of_week(local)
        return Signals(
            self._permitted("location", place, lasting),
            self._permitted("motion", motion, lasting),
            self._device_used(scene, luck, lasting),
            self._network.read(scene, luck.uniform(Purpose.SIGNAL_NETWORK)),
            page,
            self._category(page, traits, hidden, need, luck),
            (hour % 24).astype(np.int8),
            (hour // 24).astype(np.int8),
            self._weather_read(local, luck),
            self._words,
        )

    def _permitted(self, permission: Permission, codes: Codes, lasting: Luck) -> Codes:
        """Only of users who let the app know; who grants the rarer permission grants both."""
        granted = lasting.uniform(Purpose.SIGNAL_MISSING) < self._permissions[permission]
        return np.where(granted, codes, np.int8(MISSING))

    def _device_used(self, scene: NDArray[np.int16], luck: Luck, lasting: Luck) -> Codes:
        """The user's own phone, or another device: their codes follow those of the phones."""
        everybody = np.zeros(len(scene), np.int64)
        phone = self._phone.read(everybody, lasting.uniform(Purpose.SIGNAL_DEVICE))
        device = self._device.read(scene, luck.uniform(Purpose.SIGNAL_DEVICE))
        others = device + np.int8(len(self._phone.values) - 1)
        return np.where(device > 0, others, np.where(device == 0, phone, device))

    def _category(
        self, page: Codes, traits: Traits, hidden: Hidden, need: NDArray[np.bool_], luck: Luck
    ) -> Codes:
        """Of the need that is open, or any that the user buys; only some pages have one."""
        if not self._words["category"]:
            return np.full(len(page), MISSING, np.int8)
        draw = luck.uniform(Purpose.SIGNAL_CATEGORY)
        rest = np.where(need, (draw - self._right) / (1 - self._right), draw)
        usual = _drawn(np.cumsum(traits.category_shares, axis=1, dtype=np.float64)[:, :-1], rest)
        shown = np.where(need & (draw < self._right), hidden.category, usual)
        return np.where(self._has_category[page], shown, MISSING).astype(np.int8)

    def _weather_read(self, local: NDArray[np.int32], luck: Luck) -> Codes:
        """One draw for the zone and the day; a reading fails by the user's own luck."""
        day = local // np.int32(DAY)
        sky = Luck(np.broadcast_to(self._sky, day.shape), day.astype(np.int64))
        month = (np.datetime64(EPOCH.date()) + day).astype("datetime64[M]").astype(np.int64)
        season = (month + 1) % 12 // 3  # December is the first month of winter
        weather = self._weather.read(season, sky.uniform(Purpose.SIGNAL_WEATHER))
        failed = luck.uniform(Purpose.SIGNAL_MISSING) < self._offline
        return np.where(failed, np.int8(MISSING), weather)


class _Reader:
    """Draws the readings of one signal."""

    def __init__(self, signal: str, table: _Table, rows: Sequence[str]) -> None:
        """Cumulative chances [R, V], of the rows in this order."""
        unknown = [row for row in rows if row not in table.rows]
        if unknown:
            raise InputError(f"{FILE}: {signal} has no row {unknown[0]!r}: add it")
        weights = np.asarray([table.rows[row] for row in rows], np.float64)
        missing = np.asarray([table.missing_in(row) for row in rows])
        present = weights / weights.sum(axis=1, keepdims=True) * (1 - missing[:, None])
        self.values = table.values
        self._cumulative = np.cumsum(present, axis=1)

    def read(self, row: NDArray[Any], draw: Draws) -> Codes:
        """The reading of each user, whose conditions are a row of the table, int8 [N]."""
        code = _drawn(self._cumulative.take(row, axis=0), draw)
        return np.where(code < len(self.values), code, MISSING).astype(np.int8)


def _drawn(cumulative: NDArray[np.float64], draw: Draws) -> NDArray[np.int64]:
    """How many of the ascending chances [N, V] the draw has passed, int64 [N]."""
    passed: NDArray[np.int64] = (draw[:, None] >= cumulative).sum(axis=1)
    return passed


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Table(_Part):
    """Weights of the values in each row, and how often there is no reading."""

    values: tuple[str, ...]
    missing: Chance | dict[str, Chance]
    rows: dict[str, tuple[Annotated[float, Field(ge=0)], ...]]

    def missing_in(self, row: str) -> float:
        """The chance that there is no reading in a row."""
        return self.missing[row] if isinstance(self.missing, dict) else self.missing


class _Category(_Part):
    pages: tuple[str, ...]
    right: Annotated[float, Field(ge=0, lt=1)]


class _File(_Part):
    """The file of tables."""

    source: str
    permissions: dict[Permission, Chance]
    place_type: _Table
    motion: _Table
    phone: _Table
    device: _Table
    network: _Table
    page: _Table
    category: _Category
    weather: _Table
    offline: Chance


@cache
def _tables() -> _File:
    return _File.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))
