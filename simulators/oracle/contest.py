"""Policies against silence, the optimum and its honest rivals, on one course.

What does not change from contest to contest, plans and how rivals run, is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from envs.catalogue import Catalogue
from simulators.cluster import Progress
from simulators.oracle.attained import Player
from simulators.oracle.course import (
    ORACLE,
    SILENCE,
    Arrays,
    Course,
    Laid,
    LaidOf,
    Ran,
    each,
    finite_course,
    planned_course,
    race,
)
from simulators.oracle.judging import PlansFor, Setting, Tuned
from simulators.oracle.kept import Kept
from simulators.oracle.plan import Plan, Potential
from simulators.oracle.rivals import Constant, Myopic, filtered, myopic, no_information, people
from simulators.oracle.tabular import finite_model, is_finite
from simulators.oracle.tuning import WHOLE, best_constant, priced_myopic
from simulators.oracle.yardstick import PARTS, Workers
from simulators.world import START

Job = LaidOf | Tuned | PlansFor
Found = dict[str, Any]
"""What came of jobs, by the names of the jobs."""

PLANNERS: Final = ("no_information", "filtered")
"""Rivals that plan for imagined people."""
TABLES: Final = ("values", "ripening", "to_come")
"""Of a potential, in the order of its fields."""


@dataclass(frozen=True, slots=True)
class Field:
    """Whom everybody is compared with."""

    course: Course
    ran: dict[str, Ran]
    """Rivals of whom it is known how they run."""
    waiting: list[Player]
    """Rivals that are still to run."""
    tuned: dict[str, dict[str, float | str]]
    """What was chosen by trying, by rival."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything that a contest hangs on, but for who takes part from outside."""

    setting: Setting
    seeds: tuple[int, ...]
    kept: Kept
    workers: Workers
    planners: bool = False
    """Whether those who plan for imagined people take part."""
    entered: Sequence[Player] = ()
    """Rivals beyond the oracle's, of whom the sources say all."""

    def prepared(self, progress: Progress) -> Field:
        """Plan, tune, and find what is kept."""
        jobs = {**self._laying(), **self._tuning(), **self._planning()}
        results = each(partial(_done, self.setting), list(jobs.values()), self.workers, progress)
        found = dict(zip(jobs, results, strict=True))
        course, ran, rivals = self._course(found)
        constant, priced = self._tuned(found)
        rivals += [constant, *self.entered, priced, *self._thinking(found)]
        field = Field(course, ran, [], {p.name: p.tuned() for p in (constant, priced)})
        for name in PLANNERS if self.planners else ():
            self._remember(field, name)
        for rival in rivals:
            if not self._remember(field, rival.name):
                field.waiting.append(rival)
        return field

    def run(self, field: Field, players: Sequence[Player], progress: Progress) -> dict[str, Ran]:
        """Let everybody run who has not; all of them by name."""
        came = race(field.course, [*field.waiting, *players], self.workers, progress)
        for rival in field.waiting:
            about = self._about("ran", rival.name, field.tuned.get(rival.name))
            self.kept.write(about, came[rival.name].arrays())
        return field.ran | came

    def _about(self, *what: object) -> str:
        """All that a result hangs on, but for the sources."""
        setting, panel = self.setting, self.setting.panel
        played = setting.days, setting.nodes, len(panel), panel.copies, self.seeds
        return repr((what, setting.preset, setting.catalogue.hash, setting.seed, played))

    def _remember(self, field: Field, name: str) -> bool:
        """Take over how a rival ran before, if that is known."""
        found = self.kept.read(self._about("ran", name, field.tuned.get(name)))
        if found is not None:
            field.ran[name] = Ran.read(found)
        return found is not None

    def _finite(self) -> bool:
        return is_finite(self.setting.preset, self.setting.catalogue)

    def _laying(self) -> dict[str, Job]:
        """Pieces of the planning of the optimum."""
        if self._finite() or self.kept.read(self._about("course")) is not None:
            return {}
        count = max(PARTS, self.workers.workers)
        parts = np.array_split(
            np.arange(len(self.setting.panel)), min(count, len(self.setting.panel))
        )
        return {f"laid {k}": LaidOf(part, self.seeds) for k, part in enumerate(parts)}

    def _course(self, found: Found) -> tuple[Course, dict[str, Ran], list[Player]]:
        """The course, who has run it already, and rivals that it brings along."""
        setting = self.setting
        if self._finite():
            model = finite_model(setting.preset, setting.catalogue, START)
            course, players = finite_course(setting, self.seeds, model)
            return course, {}, players
        kept = self.kept.read(self._about("course"))
        if kept is not None:
            return *_read_course(setting, self.seeds, kept), [myopic()]
        parts: list[Laid] = [found[name] for name in found if name.startswith("laid")]
        course, ran = planned_course(setting, self.seeds, parts)
        self.kept.write(self._about("course"), _written(course, ran))
        return course, ran, [myopic()]

    def _tuning(self) -> dict[str, Job]:
        """Rivals that are at their best only after trying."""
        if self.kept.read(self._about("tuned")) is not None:
            return {}
        return {"constant": Tuned(best_constant), "priced": Tuned(priced_myopic)}

    def _tuned(self, found: Found) -> tuple[Constant, Myopic]:
        kept, catalogue = self.kept.read(self._about("tuned")), self.setting.catalogue
        if kept is not None:
            return _read_tuned(catalogue, kept)
        constant, priced = found["constant"], found["priced"]
        action = catalogue.action_index(str(constant.tuned()["action"]))
        price = float(priced.tuned()["cents_a_unit_of_fatigue"])
        self.kept.write(
            self._about("tuned"), {"action": np.asarray(action), "price": np.asarray(price)}
        )
        return constant, priced

    def _planning(self) -> dict[str, Job]:
        """Plans for imagined people, where how their followers run is not known."""
        known = all(self.kept.read(self._about("ran", name, None)) for name in PLANNERS)
        if not self.planners or known:
            return {}
        imagined = people(self.setting.preset, self.setting.catalogue)
        return {
            f"plan {row}": PlansFor(imagined.take(np.asarray([row])))
            for row in range(len(imagined))
        }

    def _thinking(self, found: Found) -> list[Player]:
        """Those who follow plans for imagined people."""
        plans: list[Plan] = [
            plan for name in found if name.startswith("plan") for plan in found[name]
        ]
        return [no_information(plans), filtered(self.setting.preset, plans)] if plans else []


def _done(setting: Setting, job: Job) -> Any:
    return job.done(setting)


def _written(course: Course, ran: dict[str, Ran]) -> dict[str, Any]:
    """A planned course in arrays."""
    arrays: dict[str, Any] = {"optimum": course.optimum, "silence": course.silence}
    for number, potential in enumerate(course.potentials):
        for name in TABLES:
            arrays[f"{number} {name}"] = getattr(potential, name)
    for name, one in ran.items():
        arrays |= one.arrays(f"{name} ")
    return arrays


def _read_course(
    setting: Setting, seeds: tuple[int, ...], arrays: Arrays
) -> tuple[Course, dict[str, Ran]]:
    planner = setting.planner()
    potentials = tuple(
        Potential(
            planner.week(int(routine)),
            *(np.asarray(arrays[f"{number} {name}"], np.float32) for name in TABLES),
        )
        for number, routine in enumerate(setting.panel.persons.routine)
    )
    optimum, silence = (np.asarray(arrays[name], np.float64) for name in ("optimum", "silence"))
    course = Course(setting, seeds, optimum, silence, potentials)
    return course, {name: Ran.read(arrays, f"{name} ") for name in (SILENCE, ORACLE)}


def _read_tuned(catalogue: Catalogue, arrays: Arrays) -> tuple[Constant, Myopic]:
    action, price = int(arrays["action"]), float(arrays["price"])
    name = catalogue.actions[action].name
    return Constant("best_constant", action, name), Myopic("myopic_priced", price, WHOLE)
