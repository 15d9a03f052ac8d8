"""Masked double dueling deep Q-learning of offers, as an RLlib algorithm."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from agents.algorithm import OfferAlgorithm
from agents.columns import (
    ELAPSED,
    HIDDEN,
    MASK,
    NEXT_HIDDEN,
    NEXT_MASK,
    NEXT_OBSERVATIONS,
    NEXT_PROSPECTS,
    OBSERVATIONS,
    PROSPECTS,
    ColumnEnvRunner,
    Experience,
    ReplayColumns,
)
from agents.learning.critic import Burdens
from agents.learning.multistep import lengthened
from agents.learning.q_learner import REWARD, QLearner, QModule, exploring
from agents.learning.rewards import BEYOND_SILENCE, LearningReward
from agents.learning.silence_value import fit_silence_value
from agents.policies.q_network import QNetworkPolicy
from agents.policies.wide_and_deep import WideAndDeepPolicy

UPLIFT_CONTACT_PRICE = 15.0
"""Cents a contact that make up for what ``uplift`` leaves out: part of the sales after a contact
would have happened later anyway. Chosen by simulation in the default preset: gains over silence of
37, 53 and 42 cents a user-week at prices of 0, 15 and 30 (one training seed, 1.2 million steps,
2,000 users x 28 days, standard error 3; the best constant gains 13)."""
LEARNT = (
    OBSERVATIONS, MASK, NEXT_OBSERVATIONS, NEXT_MASK, Columns.ACTIONS, Columns.TERMINATEDS,
    ELAPSED, REWARD, HIDDEN, NEXT_HIDDEN, PROSPECTS, NEXT_PROSPECTS,
)  # fmt: skip


class QLearningConfig(AlgorithmConfig):
    """Settings of Q-learning; the defaults are what a minute on two cores was tuned for."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or QLearning)
        self.env_runner_cls = ColumnEnvRunner
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 512
        self.rollout_fragment_length = 16
        self.train_batch_size_per_learner = 512
        self.gamma = 0.97
        self.lr = 1e-3
        self.reward: LearningReward = "lasting"
        self.contact_price: float | None = None
        self.reward_scale = 0.01
        self.silence_steps = 100_000
        self.hidden = (128, 128)
        self.wide = False
        self.crossed: tuple[int, ...] = ()
        self.critic = True
        self.burdens: Burdens | None = None
        self.critic_hidden = (128, 128)
        self.steps_ahead = 8
        self.twins = 10.0
        self.huber = False
        self.tau = 0.3
        self.updates = 32
        self.replay_rows = 2_000_000
        self.first_rows = 20_000
        self.epsilon_first = 1.0
        self.epsilon_last = 0.1
        self.epsilon_steps = 400_000
        self.silence_share = 0.5
        self.floor = 0.001

    def training(
        self,
        *,
        reward: LearningReward | None = None,
        contact_price: float | None = None,
        reward_scale: float | None = None,
        silence_steps: int | None = None,
        hidden: tuple[int, ...] | None = None,
        wide: bool | None = None,
        crossed: tuple[int, ...] | None = None,
        critic: bool | None = None,
        burdens: Burdens | None = None,
        critic_hidden: tuple[int, ...] | None = None,
        steps_ahead: int | None = None,
        twins: float | None = None,
        huber: bool | None = None,
        tau: float | None = None,
        updates: int | None = None,
        replay_rows: int | None = None,
        first_rows: int | None = None,
        epsilon: tuple[float, float, int] | None = None,
        silence_share: float | None = None,
        floor: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Set what is learnt and how; None leaves a setting as it is.

        Args:
            reward: see ``agents.learning.rewards``.
            contact_price: cents that a contact has to earn beyond its own costs; when left out
                ``UPLIFT_CONTACT_PRICE`` for ``uplift``, else 0.
            reward_scale: learnt values per cent of reward.
            silence_steps: steps of silence from which its value is learnt first; 0: no potential.
                Rewards beyond silence need none: it is worth nothing there.
            hidden: widths of the hidden layers.
            wide: whether the network has a wide part, where it is told which features to cross.
            crossed: columns of the observation that are crossed with all of them.
            critic: whether a critic learns with, where the environment tells what is hidden.
            burdens: what actions leave behind, see ``agents.learning.critic``; with them, and an
                environment that tells what is hidden, a critic teaches the network that chooses.
            critic_hidden: widths of the critic's hidden layers.
            steps_ahead: steps that a return is made of at most.
            twins: weight of what the errors of twins differ in, beside the errors themselves, where
                the environment has twins.
            huber: Huber's loss instead of the square; under-values rare large rewards.
            tau: share of the network that the target network takes over after each iteration.
            updates: minibatches an iteration.
            replay_rows: steps that are remembered, about a kilobyte each in the preset default;
                with a tenth of them what is learnt at last hangs on the few people in them.
            first_rows: steps before the first update.
            epsilon: exploration at first, at last, and the steps in between.
            silence_share: share of the explored actions that is silence.
            floor: exploration that the finished policy keeps.
            **kwargs: RLlib's own settings.
        """
        super().training(**kwargs)
        given = dict(
            reward=reward, contact_price=contact_price, reward_scale=reward_scale,
            silence_steps=silence_steps, hidden=hidden, wide=wide, crossed=crossed, critic=critic,
            burdens=burdens, critic_hidden=critic_hidden, steps_ahead=steps_ahead,
            twins=twins, huber=huber, tau=tau, updates=updates, replay_rows=replay_rows,
            first_rows=first_rows, silence_share=silence_share, floor=floor,
        )  # fmt: skip
        if epsilon is not None:
            first, last, steps = epsilon
            given |= dict(epsilon_first=first, epsilon_last=last, epsilon_steps=steps)
        for name, value in given.items():
            if value is not None:
                setattr(self, name, value)
        return self

    @property
    def price_of_contact(self) -> float:
        """The price that holds, cents."""
        if self.contact_price is not None:
            return self.contact_price
        return UPLIFT_CONTACT_PRICE if self.reward == "uplift" else 0.0

    @property
    def has_twins(self) -> bool:
        """Whether every user of the environment is there twice."""
        return bool(self.env_config.get("twins"))

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The Q-network."""
        return RLModuleSpec(module_class=QModule)

    def get_default_learner_class(self) -> type[QLearner]:
        """Its learner."""
        return QLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        names = (
            "hidden", "crossed", "burdens", "critic_hidden",
            "epsilon_first", "epsilon_last", "epsilon_steps", "silence_share",
        )  # fmt: skip
        return super()._model_config_auto_includes | {name: getattr(self, name) for name in names}


class QLearning(OfferAlgorithm):
    """Sample columns, remember them, learn from remembered minibatches."""

    @classmethod
    def get_default_config(cls) -> QLearningConfig:
        """The defaults."""
        return QLearningConfig()

    def setup(self, config: AlgorithmConfig) -> None:
        """Build runners and learners, and an empty memory."""
        super().setup(config)
        self._replay = ReplayColumns(self.config.replay_rows, 2 if self.config.has_twins else 1)
        self._rng = np.random.default_rng(self.config.seed)

    def training_step(self) -> None:
        """One iteration: the value of silence first, then sample, remember, learn, hand over."""
        wanted = self.config.silence_steps and self.config.reward not in BEYOND_SILENCE
        if wanted and self.sampled_steps() == 0:
            self._learn_silence()
        for experience in self.collect():
            self._remember(experience)
        if len(self._replay) >= self.config.first_rows:
            size = self.config.train_batch_size_per_learner
            rows = size * self.config.updates * max(1, self.config.num_learners)
            self.update(self._replay.sample(self._rng, rows), minibatch=size)
            self.hand_over()

    def slow_down(self, share: float) -> None:
        """Learn in smaller steps towards the end; ``share`` of the training is done."""
        rate = self.config.lr * max(0.02, min(1.0, 2.0 * (1.0 - share)))
        self.learner_group.foreach_learner(lambda learner: learner.set_rate(rate))

    def exploration(self) -> dict[str, float]:
        """The chance that an action is not the best one known."""
        of, done = self.config, self.sampled_steps()
        return {"epsilon": exploring(of.epsilon_first, of.epsilon_last, of.epsilon_steps, done)}

    def policy(self) -> QNetworkPolicy | WideAndDeepPolicy:
        """What has been learnt, as a policy."""
        floor = self.config.floor
        answer: QNetworkPolicy | WideAndDeepPolicy = self.ask_learner(
            lambda learner: learner.module[DEFAULT_MODULE_ID].unwrapped().policy(floor)
        )
        return answer

    def _reward(self, experience: Experience) -> NDArray[np.float64]:
        contacts = experience.columns[Columns.ACTIONS] > 0
        cents = self.reward_cents(experience) - self.config.price_of_contact * contacts
        return cents * self.config.reward_scale

    def _learn_silence(self) -> None:
        """Leave users alone for a while; what they are worth then becomes the potential."""
        each = self.config.silence_steps // max(1, self.config.num_env_runners)
        experience = Experience.concatenate(
            self.env_runner_group.foreach_env_runner(
                lambda runner: runner.sample_silence(each),
                local_env_runner=self.config.num_env_runners == 0,
            )
        )
        value = fit_silence_value(experience.columns, self._reward(experience), self.config.gamma)
        self.learner_group.foreach_learner(lambda learner: learner.set_silence_value(value))

    def _remember(self, experience: Experience) -> None:
        columns, rewards = lengthened(
            experience.columns, self._reward(experience), self.config.gamma,
            self.config.steps_ahead, self.config.has_twins,
        )  # fmt: skip
        columns = columns | {REWARD: rewards}
        columns = {name: columns[name] for name in LEARNT if name in columns}
        for name in {PROSPECTS, NEXT_PROSPECTS} & set(columns):
            priced = columns[name].copy()
            priced[:, 1:] -= np.float32(self.config.price_of_contact)
            columns[name] = priced * np.float32(self.config.reward_scale)
        for name in (REWARD, ELAPSED):
            columns[name] = columns[name].astype(np.float32)
        if self.config.has_twins:
            columns = {name: _side_by_side(column) for name, column in columns.items()}
        self._replay.add(columns)


def _side_by_side(column: NDArray[Any]) -> NDArray[Any]:
    """Twins as neighbours: each row of the first half, then its twin's."""
    halves = column.reshape(2, -1, *column.shape[1:])
    return halves.swapaxes(0, 1).reshape(column.shape)
