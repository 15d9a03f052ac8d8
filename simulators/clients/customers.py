"""The customers of a log as clients of a service: each asks once, as in their first decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulators.clients.answers import Answer, Service, told_attributes, told_time
from simulators.logs.logged import Log
from simulators.logs.served import Served

AGAIN: Final = 4
"""How many more times those are asked for who got a degraded answer."""


async def send_customers(
    log: Log, service: Service, label: str, progress: Callable[[], None]
) -> Served:
    """Ask the service once for every user of a log, with what the log knew of them.

    Only the first decision of a user is asked for: what was served to them would change the later
    ones, and the log cannot tell how. Degraded answers are not the policy's: they are asked for
    again at the end, under the same request ids, some times over.

    Args:
        log: whose users, scenes, times and attributes.
        service: decides.
        label: starts the user ids that the service hears.
        progress: called after each customer.

    Returns:
        The served decisions, under the user ids of the log; those that failed are left out.
    """
    rows = first_decisions(log)

    answers: dict[int, Answer] = {}

    async def ask(row: int) -> None:
        answer = await service.decide(request_of(log, row, label))
        if answer is not None:
            answers[row] = answer
        if row in waiting:
            waiting.discard(row)
            progress()

    waiting = set(rows.tolist())
    await service.each(ask, rows.tolist())
    for _ in range(AGAIN):
        await service.each(ask, [row for row in rows.tolist() if _degraded(answers.get(row))])
    asked = np.asarray([row for row in rows.tolist() if row in answers], np.int64)
    given = [answers[row] for row in asked.tolist()]
    return Served(
        user_ids=log.user_ids[asked],
        times=log.times[asked],
        actions=np.asarray([answer.action for answer in given], object),
        propensities=np.asarray([answer.propensity for answer in given], np.float64),
        decision_ids=np.asarray([answer.decision_id for answer in given], object),
        policies=np.asarray([answer.policy for answer in given], object),
        degraded=np.asarray([answer.degraded for answer in given], bool),
    )


def _degraded(answer: Answer | None) -> bool:
    return answer is not None and answer.degraded


def first_decisions(log: Log) -> NDArray[np.int64]:
    """The row of each user's earliest decision, in the order of the log."""
    order = np.argsort(log.times, kind="stable")
    _, first = np.unique(log.user_ids[order].astype(str), return_index=True)
    return np.sort(order[first])


def request_of(log: Log, row: int, label: str) -> dict[str, Any]:
    """What an application would have asked for this decision."""
    return {
        "request_id": str(log.decision_ids[row]),
        "user_id": f"{label}-{log.user_ids[row]}",
        "scene": log.catalogue.scenes[log.scenes[row]].name,
        "now": told_time(int(log.times[row])),
        "attributes": told_attributes(log.catalogue, log.attributes[row]),
    }
