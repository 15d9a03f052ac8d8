"""What the learners share as RLlib algorithms: collecting, updating, handing over, restoring."""

from __future__ import annotations

import time
from typing import Any, Self

import gymnasium as gym
import numpy as np
import ray
from numpy.typing import NDArray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)

from agents.columns import MASK, OBSERVATIONS, Experience
from agents.learning.endurance import PAUSE_S, Lookout
from agents.learning.rewards import learning_reward

MODULE = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"


class FromLog(AlgorithmConfig):
    """What configurations share whose learners need no environment."""

    def from_log(self, width: int, actions: int) -> Self:
        """Learn from a log instead of an environment.

        Args:
            width: of an observation, D.
            actions: number of actions, A.
        """
        self._is_online = False
        return self.environment(
            observation_space=gym.spaces.Dict(
                {
                    OBSERVATIONS: gym.spaces.Box(-np.inf, np.inf, (width,), np.float32),
                    MASK: gym.spaces.Box(0, 1, (actions,), np.int8),
                }
            ),
            action_space=gym.spaces.Discrete(actions),
        )


class OfferAlgorithm(Algorithm):
    """An RLlib algorithm whose experience is columns."""

    def setup(self, config: AlgorithmConfig) -> None:
        """Build runners and learners, and watch over them."""
        self._lookout = Lookout()
        super().setup(config)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Ask lost runners whether they are back; RLlib would do so, and wait, at every step."""
        if not self._lookout.has_to_ask(env_runner_group.num_healthy_remote_env_runners()):
            return []
        return list(super().restore_env_runners(env_runner_group))

    def cleanup(self) -> None:
        """End runners and learners; RLlib would wait for lost runners to say goodbye."""
        if getattr(self, "env_runner_group", None) is not None:
            self.env_runner_group.reset([])
        super().cleanup()

    def sampled_steps(self) -> int:
        """Decisions sampled since the beginning, over restarts."""
        path = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return int(self.metrics.peek(path, default=0))

    def collect(self) -> list[Experience]:
        """One fragment from every runner that works; none when all are lost for the moment."""
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            experiences, results = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                concat=True,
                sample_timeout_s=self.config.sample_timeout_s,
                _uses_new_env_runners=True,
                _return_metrics=True,
            )
        self._lookout.heard(sum(map(len, experiences)))
        if not experiences:
            time.sleep(PAUSE_S)
            return []
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        return list(experiences)

    def reward_cents(self, experience: Experience) -> NDArray[np.float64]:
        """What is learnt from these steps, float64 [N]."""
        return learning_reward(experience.columns, self.config.reward)

    def update(self, columns: dict[str, NDArray[Any]], minibatch: int | None = None) -> None:
        """Let the learners learn from rows, in minibatches or all at once."""
        batch = SampleBatch(columns)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                batch=MultiAgentBatch({DEFAULT_MODULE_ID: batch}, env_steps=len(batch)),
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.sampled_steps()},
                minibatch_size=minibatch,
                num_epochs=1,
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

    def exploration(self) -> dict[str, float]:
        """How it explores now, for whoever watches."""
        return {}

    def slow_down(self, share: float) -> None:
        """Told which share of the training is done, for learners whose steps become smaller."""

    def hand_over(self) -> None:
        """Give runners what the learners have learnt."""
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )

    def ask_learner(self, question: Any) -> Any:
        """The answer of one learner; all of them know the same."""
        answers = list(self.learner_group.foreach_learner(question))
        return answers[0].get()

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Restore a checkpoint, and see to it that every runner really has its weights.

        RLlib drops a hand-over while another is under way, and a runner refuses weights with a
        lower number than its own, as an older checkpoint has them: here every runner takes them,
        with the number of steps so far, by which it explores, and is waited for.
        """
        super().restore_from_path(path, *args, **kwargs)
        if self.env_runner_group is None:  # it learns from a log
            return
        state = self.learner_group.get_state(components=MODULE, inference_only=True)
        known = state[COMPONENT_LEARNER]
        known[NUM_ENV_STEPS_SAMPLED_LIFETIME] = self.sampled_steps()
        shared = ray.put(known)
        self.env_runner_group.foreach_env_runner(
            lambda runner: _take_over(runner, ray.get(shared)),
            local_env_runner=self.env_runner is not None,
        )


def _take_over(runner: Any, known: dict[str, Any]) -> None:
    """Make a runner forget what it has for what is known, whichever is newer."""
    runner._weights_seq_no = 0
    runner.set_state(known)
