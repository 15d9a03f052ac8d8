"""Who learns the same problem: ours, RLlib's own DQN and Stable-Baselines3's, with settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from agents.judging.field import OTHER_LUCK
from agents.q_learning import QLearningConfig
from agents.training.settings import TrainConfig
from agents.training.world_training import world_algorithm
from benchmarks.curves import Checkpoints, train_until
from benchmarks.learnt_signal import LearntSignal, days_a_step
from benchmarks.stock_dqn import intensity, stock_config, stock_policy
from benchmarks.throughput import counts

ENVIRONMENT: Final = "simulators:SceneLift-v0"
FEW: Final = 16
"""Environments with the settings that the libraries come with: they are made for few."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be learnt."""

    preset: str
    days: float
    epsilon_steps: int
    """Steps over which everybody's exploration falls, but where a library's default is tried."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A learner with settings."""

    learner: str
    settings: str
    train: Callable[[Problem, Checkpoints, int], None]


def contestants() -> list[Contestant]:
    """Ours first; those of SB3 only where it is installed."""
    found = [
        Contestant("ours", "as train q", _ours_as_commanded),
        Contestant("ours", "without a critic", _ours),
        Contestant("rllib dqn", "sizes of ours", _stock_like_ours),
        Contestant("rllib dqn", f"its defaults, {FEW} environments", _stock_by_default),
    ]
    if find_spec("stable_baselines3") is not None:
        found += [
            Contestant("sb3 dqn", "sizes of ours", _sb3_like_ours),
            Contestant("sb3 dqn", f"its defaults, {FEW} environments", _sb3_by_default),
        ]
    return found


def our_config(problem: Problem, seed: int) -> Any:
    """Our Q-learning as it comes, on the problem."""
    return (
        QLearningConfig()
        .environment(ENVIRONMENT, env_config={"preset": problem.preset, "days": problem.days})
        .training(epsilon=_epsilon(problem))
        .debugging(seed=seed + OTHER_LUCK, log_level="ERROR")
    )


def _epsilon(problem: Problem) -> tuple[float, float, int]:
    """First and last share of exploration, and the steps between them."""
    config = QLearningConfig()
    return config.epsilon_first, config.epsilon_last, problem.epsilon_steps


def _ours(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    _train_ours(our_config(problem, seed).build_algo(), checkpoints)


def _ours_as_commanded(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    """As the command teaches: a critic that sees what is hidden, twins, ever smaller steps."""
    command = TrainConfig("q", preset=problem.preset, days=problem.days, seed=seed)
    algorithm = world_algorithm(command, {"epsilon": _epsilon(problem)})
    _train_ours(algorithm, checkpoints, algorithm.slow_down)


def _train_ours(
    algorithm: Any, checkpoints: Checkpoints, told: Callable[[float], None] | None = None
) -> None:
    try:
        train_until(algorithm, checkpoints, algorithm.policy, algorithm.sampled_steps, told)
    finally:
        algorithm.stop()


def _signal(problem: Problem, ours: Any) -> dict[str, Any]:
    return {
        "preset": problem.preset, "days": problem.days, "reward": ours.reward,
        "price": ours.price_of_contact, "scale": ours.reward_scale,
    }  # fmt: skip


def _gamma(problem: Problem, ours: Any) -> float:
    """Discount a step that is ours a day."""
    return float(ours.gamma ** days_a_step(problem.preset, problem.days, seed=0))


def _stock_like_ours(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    ours = our_config(problem, seed)
    config = _stock(problem, ours, ours.num_envs_per_env_runner, seed)
    config.training(tau=ours.tau, target_network_update_freq=1, td_error_loss_fn="mse")
    _train_stock(config, checkpoints)


def _stock_by_default(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    """RLlib's minibatch, learning rate, loss, target, memory and exploration."""
    from ray.rllib.algorithms.dqn import DQNConfig

    ours, theirs = our_config(problem, seed), DQNConfig()
    config = _stock(problem, ours, FEW, seed)
    config.env_runners(rollout_fragment_length=theirs.rollout_fragment_length)
    config.training(
        **{name: getattr(theirs, name) for name in (
            "train_batch_size", "lr", "training_intensity", "replay_buffer_config",
            "num_steps_sampled_before_learning_starts",
        )},
        train_batch_size_per_learner=theirs.train_batch_size,
    )  # fmt: skip
    config._rl_module_spec.model_config["epsilon"] = theirs.epsilon
    _train_stock(config, checkpoints)


def _stock(problem: Problem, ours: Any, envs: int, seed: int) -> Any:
    config = stock_config(LearntSignal, _signal(problem, ours), envs, 0, ours)
    config.training(gamma=_gamma(problem, ours))
    return config.debugging(seed=seed + OTHER_LUCK, log_level="ERROR")


def _train_stock(config: Any, checkpoints: Checkpoints) -> None:
    algorithm = config.build_algo()
    try:
        train_until(
            algorithm, checkpoints, lambda: stock_policy(algorithm), lambda: counts(algorithm)[0]
        )
    finally:
        algorithm.stop()


def _sb3_like_ours(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    ours = our_config(problem, seed)
    envs = ours.num_envs_per_env_runner
    settings = {
        "learning_rate": ours.lr, "buffer_size": ours.replay_rows, "tau": ours.tau,
        "learning_starts": ours.first_rows, "batch_size": ours.train_batch_size_per_learner,
        "train_freq": ours.rollout_fragment_length, "gradient_steps": ours.updates,
        "target_update_interval": ours.rollout_fragment_length * envs,
    }  # fmt: skip
    epsilon = (ours.epsilon_last, ours.epsilon_steps)
    _train_sb3(problem, ours, envs, settings, epsilon, checkpoints, seed)


def _sb3_by_default(problem: Problem, checkpoints: Checkpoints, seed: int) -> None:
    """SB3's own, at the same rows learnt from a row sampled."""
    ours = our_config(problem, seed)
    updates = round(intensity(ours) * 4 * FEW / 32)  # 4 ticks between trainings, 32 a minibatch
    settings = {"gradient_steps": updates}
    _train_sb3(problem, ours, FEW, settings, (0.05, ours.epsilon_steps), checkpoints, seed)


def _train_sb3(
    problem: Problem, ours: Any, envs: int, settings: dict[str, Any], epsilon: tuple[float, int],
    checkpoints: Checkpoints, seed: int,
) -> None:  # fmt: skip
    from benchmarks.sb3_dqn import ENDLESS, Told, sb3_dqn, sb3_policy

    env = LearntSignal({**_signal(problem, ours), "num_envs": envs})
    settings = {**settings, "gamma": _gamma(problem, ours)}
    model = sb3_dqn(env, seed + OTHER_LUCK, ours.hidden, epsilon, settings)
    checkpoints.start()
    told = Told(lambda: checkpoints.passed(lambda: sb3_policy(model), lambda: model.num_timesteps))
    model.learn(ENDLESS, callback=told)
