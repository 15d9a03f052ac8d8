"""Which scene a user is in, from what an app has at that moment: signals and the clock.

Naive Bayes: given the scene, each signal speaks for itself, and one that is not there says nothing.
Every count begins at one (Laplace), so that a word never met in a scene makes it unlikely, not
impossible. ``python -m agents scenes`` learns the counts from moments whose scene is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from envs.aside import file_aside
from envs.errors import InputError

HOURS: Final = 168
LONGEST: Final = 40
"""Characters of a name or word at most."""
Name = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Floats = NDArray[np.float64]


class SceneCounts(BaseModel):
    """How often what was met in which scene; as a file, JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["scene_reader"] = "scene_reader"
    version: Literal[1] = 1
    scenes: Annotated[tuple[Name, ...], Field(min_length=1)]
    hours: tuple[Counts, ...]
    """Of each hour of the week from Monday 00:00 of the user's own time, each scene."""
    signals: dict[Name, dict[Name, Counts]]
    """Of each signal and word, each scene."""
    figures: dict[str, float] = {}
    """How good it was on users whom it had never met."""
    lineage: dict[str, str | int] = {}


@dataclass(frozen=True, slots=True)
class SceneReader:
    """Reads the scene of users."""

    scenes: tuple[str, ...]
    clock: Floats
    """log P(scene | hour of the week), [168, S]."""
    words: Mapping[str, Mapping[str, Floats]]
    """log P(word | scene) of each signal and word, [S]."""

    @classmethod
    def of(cls, counts: SceneCounts) -> Self:
        """From counts.

        Raises:
            InputError: counts that are not one for each scene, or not of 168 hours.
        """
        many = len(counts.scenes)
        rows = list(counts.hours)
        for table in counts.signals.values():
            rows += table.values()
        if len(counts.hours) != HOURS or any(len(row) != many for row in rows):
            raise InputError(f"a scene reader has {HOURS} hours and {many} counts, one a scene")
        clock = np.asarray(counts.hours, np.float64) + 1.0
        words = {
            signal: dict(zip(table, _given_scene(list(table.values())), strict=True))
            for signal, table in counts.signals.items()
        }
        return cls(counts.scenes, np.log(clock / clock.sum(axis=1, keepdims=True)), words)

    @classmethod
    def parse(cls, text: str, source: str, scenes: tuple[str, ...]) -> Self:
        """From the text of a file, for the scenes of a catalogue.

        Raises:
            InputError: it is no scene reader, or one of other scenes; names source and field.
        """
        try:
            counts = SceneCounts.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the file"
            raise InputError(f"{source}: {field}: {first['msg']}") from None
        if counts.scenes != scenes:
            raise InputError(
                f"{source} reads the scenes {', '.join(counts.scenes)}; the catalogue has "
                f"{', '.join(scenes)}: learn it anew with python -m agents scenes"
            )
        return cls.of(counts)

    def evidence(self, told: Mapping[str, str]) -> Floats:
        """What signals say of each scene: log P(signals | scene), [S].

        Raises:
            KeyError: a signal or a word that it has never met.
        """
        found = np.zeros(len(self.scenes))
        for signal, word in told.items():
            found += self.words[signal][word]
        return found

    def chances(self, evidence: Floats, hours: NDArray[Any]) -> Floats:
        """Probability of each scene, [N, S].

        Args:
            evidence: of the signals, [N, S].
            hours: of the week in the users' own time, [N].
        """
        score = evidence + self.clock.take(hours, axis=0)
        chances: Floats = np.exp(score - score.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        return chances


def _given_scene(rows: list[Counts]) -> Floats:
    """Log P(word | scene) from counts, [words, S]."""
    counts = np.asarray(rows, np.float64) + 1.0
    log_chances: Floats = np.log(counts / counts.sum(axis=0))
    return log_chances


def save_counts(path: Path, counts: SceneCounts) -> None:
    """Write them to a file, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_aside(path) as aside:
            aside.write_text(counts.model_dump_json() + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from None
