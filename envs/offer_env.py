"""Offer decisions as Gymnasium environments: the vector environment first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import DAY
from envs.decisions import Moment, Step
from envs.encoding import Encoding
from envs.errors import InputError
from envs.rules import Rules
from envs.users import UserState

Observation = dict[str, Any]


class World(Protocol):
    """Anything that poses offer decisions for a fixed number of rows of users."""

    catalogue: Catalogue
    users: UserState
    """What the service may know of these people, [N]."""

    def restart(self, rows: NDArray[np.int64], user_ids: NDArray[np.int64]) -> None:
        """Put persons into rows, each at the first opportunity of their life."""

    def moment(self) -> Moment:
        """The opportunity each row stands at."""

    def budget_left(self) -> float | NDArray[np.float64]:
        """What may still be spent on each row: cents, float64 [N], or one number."""

    def step(self, actions: NDArray[np.int64], active: NDArray[np.bool_] | None = None) -> Step:
        """Play the actions, let users know of it, move active rows to their next opportunity."""


class WorldFactory(Protocol):
    """Makes worlds of one catalogue."""

    @property
    def catalogue(self) -> Catalogue:
        """Of every world that it makes."""

    def __call__(self, num_users: int, seed: int) -> World:
        """A world with so many rows."""


Insight = Callable[[Any, NDArray[np.bool_], NDArray[np.float64]], dict[str, NDArray[np.float32]]]
"""Of a world, allowed actions [N, A] and prices of a cent [N]: what is hidden, by name."""
HIGHEST = 1e6
"""No feature comes near it: they are rhythms, flags, shares and square roots of counts."""


class OfferVectorEnv(VectorEnv[Observation, Any, NDArray[Any]]):
    """One offer decision a step, for many users at once.

    ## Description
    A user enters a scene. The policy offers a discount, a gift or plain content through a channel,
    or stays silent. The user reacts, lives on, and enters the next scene. A step is such an
    opportunity, not a tick of a clock: the time to the next one varies. Discount future value by
    gamma to the power of ``elapsed_days``.

    The user's need, traits and fatigue are hidden; what a policy sees is what a service would know.
    The way through the scenes does not depend on the actions.

    ## Action Space
    ``Discrete(A)``. Action 0 is silence, the others are the catalogue's (offer, channel) pairs in
    order. A masked action is played as silence: rules cannot be broken, only ignored.

    ## Observation Space
    A dictionary:

    | key | type | meaning |
    |---|---|---|
    | ``observations`` | float32 [D] | named by ``Encoding.names``; what the service knows |
    | ``action_mask`` | int8 [A] | 1 where the rules allow the action; silence is always 1 |

    The features, block by block; how many there are follows from the catalogue:

    | features | range | meaning |
    |---|---|---|
    | ``scene=NAME`` | 0 or 1 | where the user is |
    | ``hour_sin``, ``hour_cos``, ``hour_sin2``, ``hour_cos2`` | -1 to 1 | local hour of the day, \
and of the half-day |
    | ``saturday``, ``sunday`` | 0 or 1 | local day |
    | ``count:KIND`` | 0 and more | square root of the decayed number of events of a kind; \
half-life 30 days for purchases, refunds and service contacts, 7 days for others |
    | ``count:spend``, ``count:discount`` | 0 and more | the same of what was paid, in typical \
baskets, and of the discounts taken; 30 days |
    | ``count:KIND/CHANNEL`` | 0 and more | the same of contacts (2 days), clicks and dismissals \
(30 days) through a channel |
    | ``recency:KIND``, ``recency:contacted/CHANNEL`` | 0 to 1 | 1 / (1 + days since the latest); \
near 0 when never |
    | ``reference_discount`` | 0 to 1 | discounts taken, over purchases plus a half |
    | ``cap_used:CAP`` | 0 to 1 | share of a cap in use, for caps that count everything together |
    | ``consent:CHANNEL`` | 0 or 1 | whether the channel may be used |
    | ``attribute=NAME:VALUE`` | 0 or 1 | an attribute that is a choice; all 0 when unknown |
    | ``attribute:NAME`` | 0 to 1 | an attribute that is a number, from its lowest to its highest |
    | ``attribute_known:NAME`` | 0 or 1 | whether that number is known |
    | ``budget_price`` | 0 and more | the argument |

    ## Rewards
    Cents: ``margin_cents`` less ``offer_cost_cents`` (discount or gift), less
    ``contact_cost_cents`` (the send), less ``opt_out_cost_cents`` (the value lost with an opt-out),
    less ``budget_price`` times the spend, which is offer and contact cost. Every cent is in the
    parts that ``info`` shows.

    ## Starting State
    A new person of the world, unknown to the service but for attributes and consents, at the first
    opportunity after the start.

    ## Episode End
    Terminated when the person leaves for good, truncated ``days`` after the start. The step after
    an end ignores its action, pays nothing and shows the next person (``AutoresetMode.NEXT_STEP``).

    ## Information
    Arrays [N]; a reset gives only ``user`` and ``opportunity``.

    | key | type | meaning |
    |---|---|---|
    | ``user`` | int64 | number of the person at the observation shown |
    | ``opportunity`` | int64 | how many opportunities the person had before it |
    | ``elapsed_days`` | float64 | from the opportunity played to the one shown |
    | ``margin_cents`` | int32 | margin of what was bought, before any discount |
    | ``offer_cost_cents`` | int32 | discounts given and gifts redeemed |
    | ``contact_cost_cents`` | int32 | price of the send |
    | ``opt_out_cost_cents`` | int32 | value lost with an opt-out |
    | ``spend_cents`` | int32 | offer and contact cost |
    | ``budget_price`` | float64 | what a cent of it was priced with |
    | ``net_cents`` | int32 | margin less all costs |
    | ``expected_cents`` | float64 | mean of ``net_cents`` given the hidden state and the action |
    | ``expected_spend_cents`` | float64 | the same of ``spend_cents`` |
    | ``silence_cents`` | float64 | mean of ``net_cents`` had the action been silence |
    | ``displaced_cents`` | float64 | mean of what a sale by the contact takes from later steps |
    | ``hidden``, ``prospects`` | float32 [N, H], [N, A] | with ``insight`` alone: of the users \
shown |

    All from ``expected_cents`` on know what no service can: for training and judging, never for a
    policy. A reset has those of ``insight`` too.

    ## Arguments
    ``make_world(num_envs, seed)``, ``num_envs``, ``days`` of an episode, ``budget_price`` (a
    number, or a range from which every person draws an own one, so that one policy learns all: low
    prices more often than high ones, because the first cents of a price change most), the
    ``budget_left_cents`` that every decision sees, ``insight``, a function of the world that tells
    a critic what is hidden, and ``twins``: rows i and i + N / 2 hold the same person with the same
    luck and end together, so that they differ in what was decided and what came of it alone.

    ## Version History
    * v0: first version.
    """

    def __init__(
        self,
        make_world: WorldFactory,
        num_envs: int = 1,
        days: float = 28.0,
        budget_price: float | tuple[float, float] = 0.0,
        budget_left_cents: float = np.inf,
        insight: Insight | None = None,
        twins: bool = False,
    ) -> None:
        lowest, highest = np.broadcast_to(np.asarray(budget_price, np.float64), 2).tolist()
        if num_envs < 1 or days <= 0 or not 0 <= lowest <= highest:
            raise InputError(
                f"num_envs {num_envs} has to be 1 or more, days {days} above 0 and "
                f"budget_price {budget_price} 0 or more, the lower end of a range first"
            )
        if twins and num_envs % 2:
            raise InputError(f"num_envs {num_envs} has to be even for twins")
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs
        self._copies = 2 if twins else 1
        self._prices = lowest, highest
        self._make_world = make_world
        self._insight = insight
        self._budget_left_cents = budget_left_cents
        self._horizon_s = int(days * DAY)
        self._rules = Rules(make_world.catalogue)
        self._encoding = Encoding(make_world.catalogue)
        self._rows = np.arange(num_envs)
        self._world: World | None = None
        self.single_observation_space = _observation_space(self._encoding, make_world.catalogue)
        self.single_action_space = gym.spaces.Discrete(len(make_world.catalogue.actions))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    @property
    def world(self) -> World:
        """The world of the latest reset.

        Raises:
            ResetNeeded: there was none.
        """
        if self._world is None:
            raise gym.error.ResetNeeded("call reset before step: no world has begun")
        return self._world

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with new persons; the same seed brings the same persons and the same luck."""
        super().reset(seed=seed)
        world_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self._world = self._make_world(self.num_envs, world_seed)
        self._user = self._rows % (self.num_envs // self._copies)
        if self._copies > 1:
            self._world.restart(self._rows, self._user)
        self._opportunity = np.zeros(self.num_envs, np.int64)
        self._until = self._world.moment().now.astype(np.int64) + self._horizon_s
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._price = self._drawn_prices(self.num_envs)
        return self._observe(), self._persons()

    def step(
        self, actions: Any
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Play one action for every user; rows that ended show their next person instead."""
        chosen = np.asarray(actions, np.int64)
        self._check(chosen)
        active = ~self._ended
        played = self.world.step(chosen * (self._allowed(chosen) & active), active)
        reward = played.parts.reward(self._price)
        information = self._information(played) | {"budget_price": self._price.copy()}
        still = self._ended.nonzero()[0]
        for column in (reward, *information.values()):
            column[still] = 0
        self._opportunity += active
        terminated = played.departed & active
        self._next_persons(still)
        over = terminated | (self.world.moment().now >= self._until)
        if self._copies > 1:
            over |= np.roll(over, self.num_envs // self._copies)
        truncated = active & ~terminated & over
        self._ended = terminated | truncated
        return self._observe(), reward, terminated, truncated, information | self._persons()

    def _next_persons(self, rows: NDArray[np.int64]) -> None:
        """Rows that had ended before this step get a person nobody has met."""
        if not len(rows):
            return
        self._user[rows] += self.num_envs
        self.world.restart(rows, self._user.take(rows))
        self._opportunity[rows] = 0
        self._price[rows] = self._drawn_prices(len(rows))
        self._until[rows] = self.world.moment().now.take(rows) + np.int64(self._horizon_s)

    def _drawn_prices(self, rows: int) -> NDArray[np.float64]:
        """A price of a cent for each of so many rows, twins alike; half in the lowest quarter."""
        lowest, highest = self._prices
        drawn = self.np_random.random(rows // self._copies)
        return np.tile(lowest + (highest - lowest) * drawn**2, self._copies)

    def _observe(self) -> Observation:
        moment, users = self.world.moment(), self.world.users
        left = np.minimum(self.world.budget_left(), self._budget_left_cents)
        self._refused = self._rules.refused(users, moment, left)
        return {
            "observations": self._encoding.encode(users, moment, self._price),
            "action_mask": (~self._refused).view(np.int8),
        }

    def _check(self, actions: NDArray[np.int64]) -> None:
        size = len(self.world.catalogue.actions)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= size:
            raise InputError(
                f"actions of shape {actions.shape} are not {self.num_envs} numbers below {size}"
            )

    def _allowed(self, actions: NDArray[np.int64]) -> NDArray[np.bool_]:
        columns = self._refused.T.reshape(-1)  # [A * N]
        return ~columns.take(actions * self.num_envs + self._rows)

    def _persons(self) -> dict[str, Any]:
        persons = {"user": self._user.copy(), "opportunity": self._opportunity.copy()}
        if self._insight is None:
            return persons
        return persons | self._insight(self.world, ~self._refused, self._price)

    def _information(self, played: Step) -> dict[str, NDArray[Any]]:
        parts = played.parts
        return {
            "elapsed_days": played.elapsed_days,
            "net_cents": parts.net_cents(),
            "spend_cents": parts.spend_cents(),
            "margin_cents": parts.margin_cents,
            "offer_cost_cents": parts.offer_cost_cents,
            "contact_cost_cents": parts.contact_cost_cents,
            "opt_out_cost_cents": parts.opt_out_cost_cents,
            "expected_cents": played.expected_cents,
            "expected_spend_cents": played.expected_spend_cents,
            "silence_cents": played.silence_cents,
            "displaced_cents": played.displaced_cents,
        }


class OfferEnv(gym.Env[Observation, Any]):
    """The same decision for one user: a view of a vector environment with one row.

    See ``OfferVectorEnv`` for spaces, rewards and information; the episode does not restart by
    itself.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium declares it as an instance field)

    def __init__(self, make_world: WorldFactory, **arguments: Any) -> None:
        self._vector = OfferVectorEnv(make_world, num_envs=1, **arguments)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with a new person."""
        super().reset(seed=seed)
        observation, info = self._vector.reset(seed=seed)
        return _first(observation), _first(info)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one action."""
        observation, reward, terminated, truncated, info = self._vector.step(np.asarray([action]))
        ended = bool(terminated[0]), bool(truncated[0])
        return _first(observation), float(reward[0]), *ended, _first(info)


def _first(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: values[0] for name, values in columns.items()}


def _observation_space(encoding: Encoding, catalogue: Catalogue) -> gym.spaces.Dict:
    return gym.spaces.Dict(
        {
            "observations": gym.spaces.Box(-1.0, HIGHEST, (encoding.width,), np.float32),
            "action_mask": gym.spaces.Box(0, 1, (len(catalogue.actions),), np.int8),
        }
    )
