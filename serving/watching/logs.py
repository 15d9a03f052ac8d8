"""What the service writes down of itself, a line for each thing worth knowing, nothing personal.

As text or as JSON, through ``logging``. JSON lines have the fields time, level, logger, replica and
message, and decision_id, policy and reason where they are known. A decision id holds the keyed hash
of its user, never the user's id.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from envs.errors import InputError

STYLES: Final = ("text", "json")
ROOMS: Final = ("serving", "agents", "envs")
"""Loggers that are ours; others are Ray's and uvicorn's, who write their own."""
LARGEST_BYTES: Final = 50_000_000
KEPT: Final = 3
A_MINUTE: Final = 20
"""Lines that one place of the code writes in a minute at most."""
QUIET_S: Final = 5.0
"""How long nothing must have gone wrong before it counts as over."""

ErrorInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

logger = logging.getLogger(__name__)


def style_of(environment: Mapping[str, str]) -> str:
    """How lines are to be written, as ``SCENELIFT_LOG`` says.

    Raises:
        InputError: it says something else.
    """
    style = environment.get("SCENELIFT_LOG", "text")
    if style not in STYLES:
        raise InputError(f"SCENELIFT_LOG is {style!r}: use text or json")
    return style


def start(style: str, replica: str, folder: Path | None = None) -> None:
    """Write what our loggers are told, from INFO on; again, it replaces what was.

    Args:
        style: ``text`` or ``json``.
        replica: name of this process.
        folder: where to keep a file of this process; the standard error stream when left out.
    """
    handler: logging.Handler
    if folder is None:
        # The stream itself: Ray Serve puts one of its own in its place, which logs what it is told.
        handler = logging.StreamHandler(sys.__stderr__)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"scenelift_{replica}.log"
        handler = RotatingFileHandler(path, maxBytes=LARGEST_BYTES, backupCount=KEPT)
    handler.addFilter(Dam())
    handler.setFormatter(_Json(replica) if style == "json" else _Text(replica))
    for room in ROOMS:
        ours = logging.getLogger(room)
        for earlier in ours.handlers[:]:
            ours.removeHandler(earlier)
            earlier.close()
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        ours.propagate = False


class Dam(logging.Filter):
    """Lets one place of the code write a few lines a minute; the rest are counted, not written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._minutes: dict[tuple[str, int], list[int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; the first of a minute says how many before were not."""
        minute = int(self._clock() // 60)
        seen = self._minutes.setdefault((record.pathname, record.lineno), [minute, 0])
        if seen[0] != minute:
            if seen[1] > A_MINUTE:
                record.left_out = seen[1] - A_MINUTE
            seen[:] = [minute, 0]
        seen[1] += 1
        return seen[1] <= A_MINUTE


class _Json(JsonFormatter):
    """A line of JSON a record."""

    def __init__(self, replica: str) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "error"},
            static_fields={"replica": replica},
            timestamp="time",
        )

    def formatException(self, ei: ErrorInfo) -> str:
        return _whereabouts(ei)


class _Text(logging.Formatter):
    """A line of text a record, with what is known at its end."""

    def __init__(self, replica: str) -> None:
        self.converter = time.gmtime
        super().__init__(
            f"%(asctime)s %(levelname)s {replica} %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        names = ("reason", "decision_id", "policy", "left_out")
        known = (f" {name}={value}" for name in names if (value := getattr(record, name, None)))
        return super().formatMessage(record) + "".join(known)

    def formatException(self, ei: ErrorInfo) -> str:
        return _whereabouts(ei)


def _whereabouts(info: ErrorInfo) -> str:
    """What kind of error, and where; not its text, which may quote what a caller has sent."""
    kind, _, trail = info
    frames = traceback.extract_tb(trail)
    places = (f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    return " > ".join((*places, kind.__name__ if kind else "no error"))


@dataclass(slots=True)
class _Spell:
    began: float
    last: float
    decisions: int = 0


class Outages:
    """Tells of decisions that failed: the first of each spell, and at its end how many it were."""

    def __init__(
        self, quiet_s: float = QUIET_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing has failed yet.

        Args:
            quiet_s: how long a spell goes on after the latest failure.
            clock: seconds that never go back.
        """
        self._quiet_s, self._clock = quiet_s, clock
        self._spells: dict[tuple[str, str], _Spell] = {}

    def failed(
        self,
        reason: str,
        decision_id: str,
        policy: str,
        error: BaseException | None = None,
        decisions: int = 1,
    ) -> None:
        """Decisions were silence in the place of what the policy would have said.

        Args:
            reason: why, as the metrics name it.
            decision_id: the first of them.
            policy: name of the policy that should have decided.
            error: what went wrong; an error of another kind is another spell.
            decisions: how many.
        """
        cause = "redis" if reason == "breaker" else reason  # which is left alone for that reason
        key, now = (cause, type(error).__name__), self._clock()
        spell = self._spells.get(key)
        if spell is None:
            spell = self._spells[key] = _Spell(now, now)
            logger.log(
                logging.WARNING if error is None else logging.ERROR,
                "decisions are degraded",
                exc_info=error,
                extra={"reason": reason, "decision_id": decision_id, "policy": policy},
            )
        spell.decisions += decisions
        spell.last = now

    def passed(self) -> None:
        """A decision was as it should be."""
        if self._spells:
            self._end()

    def _end(self) -> None:
        now = self._clock()
        over = [key for key, each in self._spells.items() if now - each.last >= self._quiet_s]
        for key in over:
            spell = self._spells.pop(key)
            lasted = round(spell.last - spell.began, 3)
            logger.warning(
                "decisions are no longer degraded: %d were, in %.1f s",
                spell.decisions,
                lasted,
                extra={"reason": key[0], "decisions": spell.decisions, "seconds": lasted},
            )
