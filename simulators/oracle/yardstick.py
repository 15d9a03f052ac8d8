"""What the optimum of a sample of individuals is, and what its honest rivals attain with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulators.cluster import Progress, everywhere, quiet_ray
from simulators.oracle.attained import Attained, Rival
from simulators.oracle.judging import (
    Individuals,
    Job,
    Optimum,
    OptimumOf,
    PlansFor,
    RefinedOf,
    RivalOf,
    Setting,
    Tuned,
    done,
)
from simulators.oracle.plan import Plan
from simulators.oracle.rivals import filtered, myopic, no_information, people
from simulators.oracle.tuning import best_constant, priced_myopic
from simulators.oracle.verdict import Played

STORE_BYTES: Final = 2**30
"""Room for the plans of the archetypes' centres."""
PARTS: Final = 2
"""Pieces that the panel is cut into at least, and jobs for every worker; the result is the same for
any number."""
FIRST: Final = 0.7
"""Share of the time that planning and tuning take, for the bar."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work."""

    workers: int
    address: str | None

    def each(self, setting: Setting, jobs: Sequence[Job], progress: Progress) -> list[Any]:
        """Results in the order of the jobs."""
        return list(everywhere(partial(done, setting), jobs, self.address, self.workers, progress))


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that was found out."""

    played: Played
    attained: dict[str, list[Attained]]
    """What was simulated, by policy and part of the panel."""
    players: dict[str, Rival]
    """The rivals, with what was tuned."""
    again: Individuals
    """Those that were planned on a grid twice as fine as well."""
    refined: Played
    """What came of that."""
    plans: list[Plan]
    """Of the centres of the archetypes, and of the mean user."""


def judge(setting: Setting, refined: int, workers: Workers, progress: Progress) -> Judgement:
    """Plan, tune and play.

    Args:
        setting: the world and the panel.
        refined: how many individuals are planned again on a finer grid.
        workers: who does it.
        progress: told the share done.
    """
    parts = _pieces(len(setting.panel), max(PARTS, workers.workers))
    again = np.unique(np.linspace(0, len(setting.panel) - 1, refined).astype(np.int64))
    imagined = people(setting.preset, setting.catalogue)
    jobs: list[Job] = [OptimumOf(part) for part in parts]
    jobs += [RefinedOf(again[i : i + 1]) for i in range(len(again))]
    jobs += [Tuned(best_constant), Tuned(priced_myopic)]
    jobs += [PlansFor(imagined.take(np.asarray([row]))) for row in range(len(imagined))]
    used = workers.workers or workers.address
    with quiet_ray(workers.address, workers.workers, STORE_BYTES) if used else nullcontext():
        results = workers.each(setting, jobs, lambda share: progress(FIRST * share))
        optima, results = results[: len(parts)], results[len(parts) :]
        fine, results = results[: len(again)], results[len(again) :]
        constant, priced, *plans = results
        plans = [plan for part in plans for plan in part]
        players = _rivals(setting, constant, priced, plans)
        potentials = [potential for optimum in optima for potential in optimum.potentials]
        # Few steps of many users cost less than many of few: no more pieces than keep all busy.
        pieces = _pieces(len(setting.panel), -(-PARTS * workers.workers // len(players)))
        playing = [
            RivalOf(number, piece, [potentials[i] for i in piece])
            for number in range(len(players))
            for piece in pieces
        ]
        with_rivals = replace(setting, rivals=players)
        played = workers.each(with_rivals, playing, lambda share: progress(FIRST + 0.3 * share))
    attained = {name: [part.played[name] for part in optima] for name in optima[0].played}
    for number, player in enumerate(players):
        attained[player.name] = played[number * len(pieces) : (number + 1) * len(pieces)]
    whole = Played(
        setting.panel,
        np.concatenate([part.planned for part in optima]),
        np.concatenate([part.silence for part in optima]),
        {name: _values(several) for name, several in attained.items()},
    )
    named = {player.name: player for player in players}
    return Judgement(whole, attained, named, again, _again(whole, again, fine), plans)


def _pieces(individuals: int, count: int) -> list[Individuals]:
    """The panel's individuals, cut into so many pieces, one at least."""
    return np.array_split(np.arange(individuals), min(max(1, count), individuals))


def _rivals(setting: Setting, constant: Rival, priced: Rival, plans: list[Plan]) -> list[Rival]:
    """The slowest first."""
    return [
        filtered(setting.preset, plans),
        no_information(plans),
        priced,
        myopic(),
        constant,
    ]


def _values(parts: Sequence[Attained]) -> NDArray[np.float64]:
    return np.concatenate([part.value_cents for part in parts])


def _again(whole: Played, individuals: Individuals, fine: list[Optimum]) -> Played:
    """The individuals that were planned again, each as likely, beside their silence."""
    panel = whole.panel.only(individuals)
    rows = np.concatenate([whole.panel.rows_of(i) for i in individuals])
    return Played(
        panel,
        np.concatenate([part.planned for part in fine]),
        np.concatenate([part.silence for part in fine]),
        {
            "silence": whole.values["silence"][rows],
            "attained": _values([part.played["attained"] for part in fine]),
        },
    )
