"""The world's users as clients of a service: they ask, act on the answer, and it is reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.decisions import EventKind, Events
from envs.errors import InputError
from simulators.clients.answers import Answer, Service, told_attributes, told_signals, told_time
from simulators.value import Estimate
from simulators.world import SyntheticWorld

MOST_EVENTS: Final = 1_000
"""Events that the API takes in one call."""
ANSWERS: Final = frozenset(
    {
        EventKind.OPENED,
        EventKind.CLICKED,
        EventKind.DISMISSED,
        EventKind.NOT_INTERESTED,
        EventKind.OPTED_OUT,
    }
)
"""Kinds that answer the contact of their own step."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How users are sent."""

    label: str
    """Starts every user id."""
    days: float
    """How long each is followed from the start of the world."""
    progress: Callable[[float], None]
    """Told the user-days that are over."""
    signals: bool = False
    """Whether requests tell what an app has of the scene in place of the scene."""


@dataclass(frozen=True, slots=True)
class VisitValue:
    """What the users were worth, by user, [N]; the same luck whoever decides."""

    net_cents: NDArray[np.int64]
    """Sum over the visit, sampled."""
    expected_cents: NDArray[np.float64]
    """Sum of the conditional means given the hidden state: the same mean, far less noise."""

    def per_user_week(self, days: float) -> dict[str, float]:
        """Mean net cents a user and week with its 95 % interval over users."""
        return asdict(Estimate.of(self.net_cents / (days / 7)))


async def visit(
    world: SyntheticWorld, user_ids: NDArray[np.int64], service: Service, plan: Visit
) -> VisitValue:
    """Let the users live and the service decide, opportunity by opportunity.

    At each of their opportunities all users ask; the world plays what they were answered; what the
    application would see of it is reported before the same users ask again.

    Args:
        world: with the persons ``user_ids`` in its rows, just restarted.
        user_ids: who they are, [N].
        service: decides and is told.
        plan: how they are sent.
    """
    names = [f"{plan.label}-{user}" for user in user_ids]
    journal = _Reporter(world, names, service, plan.signals)
    net, expected = np.zeros(len(user_ids), np.int64), np.zeros(len(user_ids))
    until = world.start_s + int(plan.days * DAY)
    active = np.ones(len(user_ids), np.bool_)
    await journal.report(world.introduction())
    opportunity = 0
    while active.any():
        rows = np.flatnonzero(active)
        actions = await journal.ask(rows, opportunity)
        step = world.step(actions, active)
        net += np.where(active, step.parts.net_cents(), 0)
        expected += np.where(active, step.expected_cents, 0.0)
        await journal.report(step.events)
        now = world.moment().now
        active &= ~step.departed & (now < until)
        passed = np.where(active, now - world.start_s, until - world.start_s)
        plan.progress(float(passed.sum()) / DAY)
        opportunity += 1
    return VisitValue(net, expected)


class _Reporter:
    """Asks and tells for the rows of a world, under the names that the service hears."""

    def __init__(
        self, world: SyntheticWorld, names: list[str], service: Service, signals: bool
    ) -> None:
        self._world, self._names, self._service = world, names, service
        self._signals = signals
        self._catalogue = world.catalogue
        self._told = 0
        self._latest: dict[tuple[int, int, int], str] = {}
        """Decision in which a row was last shown an offer through a channel."""

    async def ask(self, rows: NDArray[np.int64], opportunity: int) -> NDArray[np.int64]:
        """The action that the service decides for each row, silence for the others, [N]."""
        moment, zones, catalogue = self._world.moment(), self._world.time_zones(), self._catalogue
        actions = np.zeros(len(self._names), np.int64)
        signals = self._world.signals() if self._signals else None

        async def one(row: int) -> Answer | None:
            request: dict[str, Any] = {
                "request_id": f"{opportunity}",
                "user_id": self._names[row],
                "now": told_time(int(moment.now[row])),
            }
            if signals is None:
                request["scene"] = catalogue.scenes[moment.scene[row]].name
            else:
                request["signals"] = told_signals(signals, row)
            if opportunity == 0:  # kept by the service from then on
                request["time_zone"] = zones[row]
            return await self._service.decide(request)

        for row, answer in zip(rows, await self._service.each(one, rows.tolist()), strict=True):
            if answer is None:
                continue
            try:
                actions[row] = index = catalogue.action_index(answer.action)
            except KeyError:
                raise InputError(
                    f"the service decided {answer.action!r}, which the world's catalogue "
                    f"{catalogue.name} does not have: serve the default catalogue"
                ) from None
            action = catalogue.actions[index]
            if index:
                self._latest[int(row), action.offer, action.channel] = answer.decision_id
        return actions

    async def report(self, events: Events) -> None:
        """Tell what happened; the events of one user stay together and in order."""
        order = np.argsort(events.row, kind="stable")
        told = [self._told_event(events, int(m)) for m in order]
        batches = [told[first : first + MOST_EVENTS] for first in range(0, len(told), MOST_EVENTS)]
        await self._service.each(self._service.tell, batches)

    def _told_event(self, events: Events, m: int) -> dict[str, Any]:
        catalogue, row = self._catalogue, int(events.row[m])
        self._told += 1
        event: dict[str, Any] = {
            "event_id": f"{self._told}",
            "user_id": self._names[row],
            "kind": EventKind(int(events.kind[m])).name.lower(),
            "time": told_time(int(events.time[m])),
            **_named(catalogue, events, m),
        }
        if events.kind[m] in (EventKind.BOUGHT, EventKind.REFUNDED):
            event["amount_cents"] = int(events.amount_cents[m])
        if events.discount[m] > 0:
            event["discount"] = float(events.discount[m])
        if events.kind[m] == EventKind.DESCRIBED and events.attributes is not None:
            event["attributes"] = told_attributes(catalogue, events.attributes[m])
        shown = (row, int(events.offer[m]), int(events.channel[m]))
        if shown in self._latest and (events.kind[m] in ANSWERS or "amount_cents" in event):
            event["decision_id"] = self._latest[shown]
        return event


def _named(catalogue: Catalogue, events: Events, m: int) -> dict[str, str]:
    """Scene, channel and offer by name, where there are any."""
    parts = (
        ("scene", catalogue.scenes, events.scene[m]),
        ("channel", catalogue.channels, events.channel[m]),
        ("offer", catalogue.offers, events.offer[m]),
    )
    return {key: known[index].name for key, known, index in parts if index >= 0}
