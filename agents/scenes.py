"""The command that learns to tell the scene of a user from what an app has at that moment.

A fifth of the users is kept apart; the figures are theirs. ``envs.scene_reader`` has the method.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console

from agents.logs.scene_moments import Moments, moment_files, read_moments
from envs.catalogue import Catalogue, load_catalogue
from envs.errors import InputError
from envs.lineage import lineage
from envs.scene_reader import HOURS, LONGEST, SceneCounts, SceneReader, save_counts
from simulators.progress import Bar
from simulators.rows import SIGNAL

MOST_WORDS: Final = 1_000
"""A signal with more words than that is a name or a number, and tells no scene."""


@dataclass(frozen=True, slots=True)
class ScenesConfig:
    """Learn to tell a user's scene from signals and clock; `python -m serving up --scenes FILE`."""

    moments: tyro.conf.Positional[Path]
    """Parquet file, or a folder of them, of moments whose scene is known."""
    out: Path = Path("runs/scenes.json")
    """The file that the service reads; an older one is replaced."""
    catalogue: Path | None = None
    """Whose scenes; the default catalogue when left out."""
    json: bool = False
    """Print one JSON object."""


def run_scenes(config: ScenesConfig) -> None:
    """The command: learn, look at users never met, write."""
    catalogue = load_catalogue(config.catalogue)
    files = moment_files(config.moments)
    with Bar("learning scenes", shown=not config.json) as bar:
        counts = _Counting(catalogue)
        for share, moments in read_moments(files, counts.scenes):
            counts.add(moments)
            bar.update(share / 2)
        reader = SceneReader.of(counts.content({}))
        right = _Right()
        for share, moments in read_moments(files, counts.scenes):
            right.add(moments, reader)
            bar.update(0.5 + share / 2)
    figures = right.figures()
    content = counts.content(figures)
    save_counts(config.out, content)
    if config.json:
        print(json.dumps({"out": str(config.out), **figures, "lineage": content.lineage}))
        return
    line = (
        f"the scene of users never met is right in {figures['right']:.1%} of "
        f"{figures['moments']:,.0f} moments (by the clock alone {figures['right_by_clock']:.1%})"
        f" -> {config.out}"
    )
    Console().print(line, highlight=False, soft_wrap=True)


class _Counting:
    """How often what is met in which scene, among users who are not kept apart."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.scenes = tuple(scene.name for scene in catalogue.scenes)
        self._lineage = lineage(0) | {"catalogue_hash": catalogue.hash}
        self._hours = np.zeros((HOURS, len(self.scenes)), np.int64)
        self._signals: dict[str, dict[str, NDArray[np.int64]]] = {}

    def add(self, moments: Moments) -> None:
        """Count moments."""
        learnt = ~moments.apart
        np.add.at(self._hours, (moments.hour[learnt], moments.scene[learnt]), 1)
        for name, (words, codes) in moments.signals.items():
            there = learnt & (codes >= 0)
            table = np.zeros((len(words), len(self.scenes)), np.int64)
            np.add.at(table, (codes[there], moments.scene[there]), 1)
            kept = self._signals.setdefault(name, {})
            for word, row in zip(words, table, strict=True):
                kept[word] = kept[word] + row if word in kept else row
            if len(kept) > MOST_WORDS:
                raise InputError(
                    f"{SIGNAL}{name} has more than {MOST_WORDS} words: leave the column out"
                )
            if longest := [each for each in (name, *kept) if not 0 < len(each) <= LONGEST]:
                raise InputError(
                    f"{SIGNAL}{name}: {longest[0][:60]!r} is no name of 1 to {LONGEST} characters"
                )

    def content(self, figures: dict[str, float]) -> SceneCounts:
        """What is kept; words and signals that were never there are not.

        Raises:
            InputError: nobody to learn from.
        """
        if not self._hours.any():
            raise InputError("no moment of a user to learn from: give those of five users or more")
        signals = {
            name: {word: tuple(row.tolist()) for word, row in table.items() if row.any()}
            for name, table in self._signals.items()
        }
        return SceneCounts(
            scenes=self.scenes,
            hours=tuple(tuple(row) for row in self._hours.tolist()),
            signals={name: table for name, table in signals.items() if table},
            figures=figures,
            lineage=self._lineage,
        )


class _Right:
    """How often the likeliest scene is the true one, among users who are kept apart."""

    def __init__(self) -> None:
        self._moments = self._right = self._by_clock = 0
        self._told = 0.0

    def add(self, moments: Moments, reader: SceneReader) -> None:
        """Look at moments."""
        apart = moments.apart
        scene, hour = moments.scene[apart], moments.hour[apart]
        evidence = np.zeros((len(scene), len(reader.scenes)))
        for name, (words, codes) in moments.signals.items():
            known = reader.words.get(name, {})
            nothing = np.zeros(len(reader.scenes))
            table = np.stack([*(known.get(word, nothing) for word in words), nothing])
            evidence += table[codes[apart]]  # -1 is the last: no signal
        chances = reader.chances(evidence, hour)
        self._moments += len(scene)
        self._right += int((chances.argmax(axis=1) == scene).sum())
        self._told += float(chances.max(axis=1).sum())
        self._by_clock += int((reader.clock.take(hour, axis=0).argmax(axis=1) == scene).sum())

    def figures(self) -> dict[str, float]:
        """Shares of right ones, and how sure it was on average.

        Raises:
            InputError: nobody was kept apart.
        """
        if not self._moments:
            raise InputError("no moment of a user who is kept apart: give those of more users")
        n = self._moments
        return {
            "moments": float(n),
            "right": self._right / n,
            "right_by_clock": self._by_clock / n,
            "chance": self._told / n,
        }
