"""What followed on each decision of a log: the user's next decision, and the days until then."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from envs.clock import DAY
from simulators.logs.logged import Log

# As in agents.columns and in RLlib, which are too large for a process that only reads.
OBSERVATIONS, MASK = "observations", "action_mask"
NEXT_OBSERVATIONS, NEXT_MASK = "next_observations", "next_action_mask"
ACTIONS, REWARDS, TERMINATEDS = "actions", "rewards", "terminateds"
ELAPSED, PROPENSITIES = "elapsed_days", "propensities"
USERS, DECISIONS, TIMES, LEARNABLE = "users", "decisions", "times", "learnable"
WRITTEN: Final = "written"
"""When a row was written: of one decision, the row written last counts."""
FOLLOWED: Final = "followed"
"""Whether the log knows the user's next decision."""

Columns = dict[str, NDArray[Any]]


def decisions(log: Log, first: int = 0) -> Columns:
    """A log's decisions as columns, one row each.

    Args:
        log: N decisions.
        first: number of the first row among all that were ever written.
    """
    return {
        USERS: log.user_ids.astype(str),
        DECISIONS: log.decision_ids.astype(str),
        TIMES: log.times.astype(np.int64),
        WRITTEN: first + np.arange(len(log)),
        LEARNABLE: ~log.degraded & ~np.isnan(log.rewards),
        OBSERVATIONS: log.observations,
        MASK: log.mask,
        ACTIONS: log.actions,
        REWARDS: log.rewards,
        PROPENSITIES: log.propensities,
    }


def transitions(rows: Columns) -> Columns:
    """Decisions beside what followed on each, sorted by user and time.

    A decision that was degraded, or whose reward is not known, is not learnt from, but it is what
    followed on the one before it. Of a user's last decision nothing is known to follow.

    Args:
        rows: all decisions of some users, as ``decisions`` gives them.

    Returns:
        observations float32 [N, D], action_mask bool [N, A], both once more as ``next_...``,
        actions, rewards, propensities, elapsed_days and followed [N].
    """
    rows = _latest(rows)
    order = np.lexsort((rows[DECISIONS], rows[TIMES], rows[USERS]))
    users = rows[USERS][order]
    followed = np.append(users[1:] == users[:-1], False)
    later = np.where(followed, np.append(order[1:], order[-1:]), order)
    kept = rows[LEARNABLE][order]
    now, later = order[kept], later[kept]
    return {
        **{name: rows[name][now] for name in (OBSERVATIONS, MASK, ACTIONS, REWARDS, PROPENSITIES)},
        NEXT_OBSERVATIONS: rows[OBSERVATIONS][later],
        NEXT_MASK: rows[MASK][later],
        ELAPSED: (rows[TIMES][later] - rows[TIMES][now]) / DAY,
        FOLLOWED: followed[kept],
    }


def _latest(rows: Columns) -> Columns:
    """Each decision once, as it was written last."""
    order = np.lexsort((rows[WRITTEN], rows[DECISIONS]))
    names = rows[DECISIONS][order]
    last = order[np.append(names[1:] != names[:-1], True)]
    return {name: values[last] for name, values in rows.items()}


def steps(found: Columns, sequential: bool) -> Columns:
    """What can be learnt from: transitions with an end.

    Args:
        found: transitions.
        sequential: whether anybody in the log was decided for twice. In such a log a user's last
            decision is left out: what came after it is not known. In any other log every decision
            stands alone, and nothing is expected after it.
    """
    if not sequential:
        return _without(found) | {TERMINATEDS: np.ones(len(found[ACTIONS]), np.bool_)}
    followed = np.asarray(found[FOLLOWED], np.bool_)
    return {
        **{name: values[followed] for name, values in _without(found).items()},
        TERMINATEDS: np.zeros(int(followed.sum()), np.bool_),
    }


def _without(found: Columns) -> Columns:
    return {name: values for name, values in found.items() if name != FOLLOWED}
