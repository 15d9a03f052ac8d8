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

    def step(self, actions: NDArray[np.int64], active: NDArray[np.bool_] | None = None) -> Step:
        """Play the actions, let users know of it, move active rows to their next opportunity."""


HIGHEST = 1e6
"""No feature comes near it: they are rhythms, flags, shares and square roots of counts."""

WorldFactory = Callable[[int, int], World]
"""(number of rows, seed) -> world."""


class OfferVectorEnv(VectorEnv[Observation, Any, NDArray[Any]]):
    """One offer decision a step, for many users at once.

    ## Description
    A user enters a scene. The policy offers a discount, a gift or plain content through a channel,
    or stays silent. The user reacts, lives on, and enters the next scene. A step is such an
    opportunity, not a tick of a clock: the time to the next one varies. Discount future value by
    gamma to the power of ``elapsed_days``.

    ## Action Space
    ``Discrete(A)``. Action 0 is silence, the others are the catalogue's (offer, channel) pairs in
    order. A masked action is played as silence: rules cannot be broken, only ignored.

    ## Observation Space
    A dictionary:

    | key | type | meaning |
    |---|---|---|
    | observations | float32 [D] | features named by ``Encoding.names``; what the service knows |
    | action_mask | int8 [A] | 1 where the rules allow the action; silence is always 1 |

    ## Rewards
    Cents: margin, less discount or gift, less the price of the send, less the value lost with an
    opt-out, less ``budget_price`` times the spend. The parts are in ``info``.

    ## Starting State
    A new person of the world, unknown to the service, at the first opportunity after the start.

    ## Episode End
    Terminated when the person leaves for good, truncated ``days`` after the start. The step after
    an end ignores its action and shows the next person (``AutoresetMode.NEXT_STEP``).

    ## Information
    Arrays [N]: ``elapsed_days``, ``net_cents``, ``spend_cents``, ``margin_cents``,
    ``offer_cost_cents``, ``contact_cost_cents``, ``opt_out_cost_cents``; ``expected_cents`` and
    ``silence_cents`` are conditional means given the hidden state, for training and judging only;
    ``user`` is the person's number, ``opportunity`` how many they had before. On reset only the
    last two.

    ## Arguments
    ``make_world(num_envs, seed)``, ``num_envs``, ``days`` of an episode, ``budget_price`` and the
    ``budget_left_cents`` that every decision sees.

    ## Version History
    * v0: first version.
    """

    def __init__(
        self,
        make_world: WorldFactory,
        num_envs: int = 1,
        days: float = 28.0,
        budget_price: float = 0.0,
        budget_left_cents: float = np.inf,
    ) -> None:
        if num_envs < 1 or days <= 0 or not budget_price >= 0:
            raise InputError(
                f"num_envs {num_envs} has to be 1 or more, days {days} above 0 and "
                f"budget_price {budget_price} 0 or more"
            )
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs
        self.budget_price = budget_price
        self._make_world = make_world
        self._budget_left_cents = budget_left_cents
        self._horizon_s = int(days * DAY)
        self._ended = np.zeros(num_envs, np.bool_)
        self._begin(make_world(num_envs, 0))
        self.single_observation_space = _observation_space(self._encoding, self.world.catalogue)
        self.single_action_space = gym.spaces.Discrete(len(self.world.catalogue.actions))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin with new persons; the same seed brings the same persons and the same luck."""
        super().reset(seed=seed)
        world_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self._begin(self._make_world(self.num_envs, world_seed))
        rows = np.arange(self.num_envs)
        self._place(rows, rows)
        return self._observe(), self._persons()

    def step(
        self, actions: Any
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Play one action for every user; rows that ended show their next person instead."""
        active = ~self._ended
        allowed = np.asarray(actions, np.int64)
        self._check(allowed)
        allowed = np.where(self._allowed(allowed) & active, allowed, 0)
        played = self.world.step(allowed, active)
        reward = np.where(active, played.parts.reward(self.budget_price), 0.0)
        self._opportunity += active
        terminated = played.departed & active
        self._next_persons()
        truncated = active & ~terminated & (self.world.moment().now >= self._until)
        self._ended = terminated | truncated
        information = self._information(played, active) | self._persons()
        return self._observe(), reward, terminated, truncated, information

    def _begin(self, world: World) -> None:
        self.world = world
        self._rules = Rules(world.catalogue)
        self._encoding = Encoding(world.catalogue)
        self._user = np.zeros(self.num_envs, np.int64)
        self._opportunity = np.zeros(self.num_envs, np.int64)
        self._until = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._refused = np.zeros((self.num_envs, len(world.catalogue.actions)), np.uint32)

    def _place(self, rows: NDArray[np.int64], user_ids: NDArray[np.int64]) -> None:
        self.world.restart(rows, user_ids)
        self._user[rows] = user_ids
        self._opportunity[rows] = 0
        self._until[rows] = self.world.moment().now[rows].astype(np.int64) + self._horizon_s
        self._ended[rows] = False

    def _next_persons(self) -> None:
        """Rows that had ended before this step get a person nobody has met."""
        rows = np.flatnonzero(self._ended)
        if len(rows):
            self._place(rows, self._user[rows] + self.num_envs)

    def _observe(self) -> Observation:
        moment = self.world.moment()
        users = self.world.users
        self._refused = self._rules.refusals(users, moment, self._budget_left_cents)
        observations = self._encoding.encode(users, moment, self.budget_price)
        return {
            "observations": observations,
            "action_mask": (self._refused == 0).view(np.int8),
        }

    def _check(self, actions: NDArray[np.int64]) -> None:
        size = len(self.world.catalogue.actions)
        if actions.shape != (self.num_envs,) or actions.min() < 0 or actions.max() >= size:
            raise InputError(
                f"actions of shape {actions.shape} are not {self.num_envs} numbers below {size}"
            )

    def _allowed(self, actions: NDArray[np.int64]) -> NDArray[np.bool_]:
        allowed: NDArray[np.bool_] = self._refused[np.arange(self.num_envs), actions] == 0
        return allowed

    def _persons(self) -> dict[str, Any]:
        return {"user": self._user.copy(), "opportunity": self._opportunity.copy()}

    def _information(self, played: Step, active: NDArray[np.bool_]) -> dict[str, Any]:
        parts = played.parts
        columns: dict[str, NDArray[Any]] = {
            "elapsed_days": played.elapsed_days,
            "net_cents": parts.net_cents(),
            "spend_cents": parts.spend_cents(),
            "margin_cents": parts.margin_cents,
            "offer_cost_cents": parts.offer_cost_cents,
            "contact_cost_cents": parts.contact_cost_cents,
            "opt_out_cost_cents": parts.opt_out_cost_cents,
            "expected_cents": played.expected_cents,
            "silence_cents": played.silence_cents,
        }
        if not active.all():
            columns = {name: np.where(active, values, 0) for name, values in columns.items()}
        return columns


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
