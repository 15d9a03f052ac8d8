"""From what is known of users and what is asked to decisions to be written: no Redis, no HTTP.

Many requests are decided at once, in arrays, and come out as if they had been decided one after
another: none is given what an earlier one has used up of the budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import hour_of_week
from envs.decisions import EventKind, Events, Moment
from envs.rules import reserve_cents
from envs.scene_reader import SceneReader
from envs.users import UserState, advance
from serving.budgets.budget import Budget
from serving.decisions.answers import Texts
from serving.decisions.rounds import Asked, Decided, Proposal, Round
from serving.policies.decide import Decider, Verdict, spoken, stand
from serving.policies.policies import Policies
from serving.store.state import Reading, packed

Rows = NDArray[np.int64]


class Proposer:
    """Decides for the users of one catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        policies: Policies,
        budget: Budget,
        time_zone: str,
        reader: SceneReader | None,
    ) -> None:
        self._policies = policies
        self._budget = budget
        self._zone = time_zone
        self._reader = reader
        self._reserve = np.ceil(reserve_cents(catalogue)).astype(np.int64)
        self._costs = np.unique(self._reserve)
        self._texts = Texts(catalogue)

    def propose(
        self, asked: Sequence[Asked], readings: Sequence[Reading], users: UserState
    ) -> list[Proposal | None]:
        """Decide on what is known of users, and say what to write if nobody was faster.

        Args:
            asked: N requests, of N different users.
            readings: what Redis holds of them.
            users: the same as arrays, [N]; afterwards what they are if the decisions are written.

        Returns:
            None where the budget was not enough after all: decide again.
        """
        round_ = self._round(asked, readings, users)
        asked = round_.asked
        _describe(users, asked)
        attributes = users.attributes.copy()
        verdict = self._decide(round_)
        values = _values(round_, _contacted(round_, verdict))
        seen = self._seen_by_shadow(verdict, _speaking(asked))
        cents = self._reserve[verdict.actions]
        decided = Decided.of(round_, verdict, attributes, values, cents, seen)
        return [self._proposal(decided, n) for n in range(len(asked))]

    def _proposal(self, decided: Decided, n: int) -> Proposal | None:
        """What to write of a row, once its part of the budget is set aside."""
        cents = decided.cents[n]
        reservation = self._budget.reserve(cents) if cents else None
        if cents and reservation is None:
            return None
        return self._texts.proposal(decided, n, reservation)

    def _round(
        self, asked: Sequence[Asked], readings: Sequence[Reading], users: UserState
    ) -> Round:
        zones = [
            each.time_zone or reading.user.zone or self._zone
            for each, reading in zip(asked, readings, strict=True)
        ]
        moment = stand([each.scene for each in asked], [each.now for each in asked], zones)
        if self._reader is not None:
            asked = _located(asked, moment, self._reader)
        deciders = [self._policies.of(each.user) for each in asked]
        return Round(asked, readings, users, zones, moment, deciders, self._budget.price)

    def _decide(self, round_: Round) -> Verdict:
        """Every request by the policy of its arm, in order, within the budget."""
        parts = [
            part
            for decider, rows in _by_decider(round_.deciders)
            for part in self._within_budget(round_, decider, rows)
        ]
        return parts[0][1] if len(parts) == 1 else _joined(parts)

    def _within_budget(
        self, round_: Round, decider: Decider, rows: Rows
    ) -> Iterator[tuple[Rows, Verdict]]:
        """Decide rows by turns, each as long as the budget allows what it did at its beginning."""
        left = self._budget.left_cents()
        while len(rows):
            verdict = self._decide_rows(round_, decider, rows, left)
            taken = np.cumsum(self._reserve[verdict.actions])
            # What may still be chosen changes once the budget falls below the dearest action that
            # it allows: from there on the next turn decides.
            dearest = self._costs[self._costs <= left].max()
            enough = np.concatenate(([True], left - taken[:-1] >= dearest))
            stop = len(rows) if enough.all() else int(np.argmin(enough))
            yield rows[:stop], (verdict if stop == len(rows) else _take(verdict, slice(0, stop)))
            left -= float(taken[stop - 1])
            rows = rows[stop:]

    def _decide_rows(self, round_: Round, decider: Decider, rows: Rows, left: float) -> Verdict:
        whole = len(rows) == len(round_.asked)
        asked = [round_.asked[n] for n in rows.tolist()]
        return decider.decide(
            round_.users if whole else round_.users.take(rows),
            round_.moment if whole else round_.moment.take(rows),
            np.asarray([each.uniform for each in asked]),
            _excluded(asked, len(self._reserve)),
            left,
            round_.price,
            _speaking(asked),
        )

    def _seen_by_shadow(
        self, verdict: Verdict, speaks: NDArray[np.bool_] | None
    ) -> tuple[str, NDArray[np.float64]] | None:
        """Name of the policy that looks on, and how likely it would have done the same, [N]."""
        shadow = self._policies.shadow
        if shadow is None:
            return None
        rows, sound = shadow.rows(verdict.observations, verdict.mask)
        if speaks is not None:
            rows = spoken(rows, verdict.mask, speaks)
        same = np.take_along_axis(rows, verdict.actions[:, None], axis=1)[:, 0]
        return shadow.policy_name, np.where(sound, same, np.nan)


def _located(asked: Sequence[Asked], moment: Moment, reader: SceneReader) -> Sequence[Asked]:
    """The requests with the likeliest scene where signals were told, which the moment gets too."""
    rows = [n for n, each in enumerate(asked) if each.evidence is not None]
    if not rows:
        return asked
    evidence = np.stack([each.evidence for each in asked if each.evidence is not None])
    chances = reader.chances(evidence, hour_of_week(moment.local().take(rows)))
    likeliest = chances.argmax(axis=1)
    moment.scene[rows] = likeliest
    located = list(asked)
    for row, scene, each in zip(rows, likeliest.tolist(), chances, strict=True):
        located[row] = replace(asked[row], scene=scene, scene_chance=float(each[scene]))
    return located


def _describe(users: UserState, asked: Sequence[Asked]) -> None:
    """Let the users be as their callers describe them, in place."""
    told = [n for n, each in enumerate(asked) if each.attributes is not None]
    if told:
        values = [given for each in asked if (given := each.attributes) is not None]
        times = [asked[n].now for n in told]
        kind = EventKind.DESCRIBED
        advance(users, Events.of(row=told, kind=kind, time=times, attributes=np.stack(values)))


def _contacted(round_: Round, verdict: Verdict) -> list[int]:
    """Let the users be contacted as decided, in place; rows that are not as they were before."""
    shown = np.asarray([not each.deferred for each in round_.asked])
    actions = np.where(shown, verdict.actions, 0)
    if actions.any():
        advance(round_.users, round_.deciders[0][0].contacts(round_.moment, actions))
    return [
        n
        for n, each in enumerate(round_.asked)
        if actions[n] or each.attributes is not None or each.time_zone is not None
    ]


def _values(round_: Round, changed: list[int]) -> dict[int, bytes]:
    """Records of the users that have changed, by row."""
    if not changed:
        return {}
    whole = len(changed) == len(round_.asked)
    users = round_.users if whole else round_.users.take(np.asarray(changed))
    return dict(zip(changed, packed(users, [round_.zones[n] for n in changed]), strict=True))


def _by_decider(deciders: Sequence[tuple[Decider, str]]) -> Iterator[tuple[Decider, Rows]]:
    """Each decider and the rows that it decides."""
    rows: dict[int, tuple[Decider, list[int]]] = {}
    for n, (decider, _) in enumerate(deciders):
        rows.setdefault(id(decider), (decider, []))[1].append(n)
    for decider, numbers in rows.values():
        yield decider, np.asarray(numbers, np.int64)


def _excluded(asked: Sequence[Asked], actions: int) -> NDArray[np.uint32] | None:
    """Refusals by the callers, [N, A]; None where there are none."""
    if all(each.excluded is None for each in asked):
        return None
    none = np.zeros(actions, np.uint32)
    return np.stack([none if each.excluded is None else each.excluded for each in asked])


def _speaking(asked: Sequence[Asked]) -> NDArray[np.bool_] | None:
    """Who is not to be answered with silence, [N]; None where nobody asks for that."""
    if not any(each.speaks for each in asked):
        return None
    return np.asarray([each.speaks for each in asked])


def _take(verdict: Verdict, rows: slice) -> Verdict:
    return Verdict(*(getattr(verdict, part.name)[rows] for part in fields(Verdict)))


def _joined(parts: Sequence[tuple[Rows, Verdict]]) -> Verdict:
    """The parts of one round, each row at its place."""
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    return Verdict(
        *(
            np.concatenate([getattr(verdict, part.name) for _, verdict in parts])[order]
            for part in fields(Verdict)
        )
    )
