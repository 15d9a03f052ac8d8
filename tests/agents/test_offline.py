"""Conservative Q-learning from logs alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.logs.log_steps import InMemory, LogSteps
from agents.logs.transitions import FOLLOWED
from agents.offline import ConservativeQConfig, ConservativeQLearning, soft_maximum
from tests.agents.rationing import CONTACT, LENGTH, MISTAKE, OPTIMUM, Rationing, every_state

pytestmark = [
    pytest.mark.slow,  # starts Ray and trains
    pytest.mark.usefixtures("small_ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def lived(users: int, never: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    """Transitions of a policy that draws from the allowed actions, but never takes one of them."""
    world, rng = Rationing({"num_envs": users}), np.random.default_rng(seed)
    observation, _ = world.reset(seed=seed)
    rows: list[dict[str, np.ndarray]] = []
    played = np.ones(users, np.bool_)
    for _ in range(LENGTH):
        mask = observation["action_mask"].astype(np.bool_)
        drawn = mask.copy()
        if never is not None:
            drawn[:, never] = False
        actions = np.where(drawn, rng.random(drawn.shape), -1.0).argmax(axis=1)
        later, cents, _, ended, info = world.step(actions)
        columns = {
            "observations": observation["observations"],
            "action_mask": mask,
            "actions": actions,
            "rewards": cents,
            "propensities": 1.0 / drawn.sum(axis=1),
            "next_observations": later["observations"],
            "next_action_mask": later["action_mask"].astype(np.bool_),
            "elapsed_days": info["elapsed_days"],
            FOLLOWED: ~ended,
        }
        rows.append({name: values[played] for name, values in columns.items()})
        observation, played = later, played & ~ended
    return {name: np.concatenate([tick[name] for tick in rows]) for name in rows[0]}


def learnt(log: LogSteps, rounds: int, seed: int = 0, **training: Any) -> ConservativeQLearning:
    settings = {
        "hidden": (32,), "updates": 16, "silence_steps": 2_000, "lr": 3e-3, "tau": 0.2,
        "floor": 0.0, "train_batch_size_per_learner": 64, "gamma": 0.9,
    }  # fmt: skip
    config = ConservativeQConfig().from_log(6, 4).training(**(settings | training))
    algorithm: ConservativeQLearning = config.debugging(seed=seed, log_level="ERROR").build_algo()
    algorithm.read(log)
    for _ in range(rounds):
        algorithm.train()
    return algorithm


def test_a_log_of_chance_teaches_to_wait_for_the_contact_that_pays_most() -> None:
    algorithm = learnt(LogSteps(InMemory(lived(200))), rounds=80)
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == OPTIMUM


def test_the_same_seed_learns_the_same_from_a_log() -> None:
    log = LogSteps(InMemory(lived(50)))
    found = []
    for seed in (1, 1, 2):
        algorithm = learnt(log, rounds=5, seed=seed)
        found.append(algorithm.policy().weights())
        algorithm.stop()
    first, again, other = found
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    assert any(not np.array_equal(array, other[name]) for name, array in first.items())


def test_an_action_that_the_log_never_took_is_believed_by_plain_q_learning_alone() -> None:
    """Every step costs 100, a mistake 150 and is never logged: what nobody saw looks cheap."""
    found = lived(100, never=MISTAKE)
    found["rewards"] = found["rewards"] - 100.0
    log = LogSteps(InMemory(found))
    chosen = {}
    for alpha in (0.0, 1.0):
        algorithm = learnt(log, rounds=30, alpha=alpha, silence_steps=0)
        rows = algorithm.policy().probabilities(*every_state())
        algorithm.stop()
        chosen[alpha] = (rows.argmax(axis=1) == MISTAKE).sum()
    assert chosen[0.0] > 0
    assert chosen[1.0] == 0


def test_decisions_that_stand_alone_have_no_future() -> None:
    """A log in which nobody comes back: what is learnt is the reward itself, in its own scale."""
    found = lived(200)
    found[FOLLOWED] = np.zeros(len(found["actions"]), np.bool_)
    log = LogSteps(InMemory(found))
    assert not log.sequential and log.rows == len(found["actions"])
    algorithm = learnt(log, rounds=60, alpha=0.0)
    values = algorithm.policy().values(every_state()[0]) / algorithm.reward_scale
    algorithm.stop()
    fresh = [1, 3, 5]
    np.testing.assert_allclose(values[fresh, CONTACT], [20.0, 60.0, 100.0], atol=5.0)
    np.testing.assert_allclose(values[1:, MISTAKE], -50.0, atol=5.0)  # nobody stands in state 0


def test_the_price_of_optimism_counts_allowed_actions_alone() -> None:
    values = torch.tensor([[1.0, 50.0, 2.0]])
    mask = torch.tensor([[True, False, True]])
    assert float(soft_maximum(values, mask)) == pytest.approx(np.log(np.e + np.e**2))


def test_rows_learnt_are_counted_over_a_restart(tmp_path: Path) -> None:
    log = LogSteps(InMemory(lived(50)))
    algorithm = learnt(log, rounds=3)
    rows = algorithm.sampled_steps()
    algorithm.save_to_path(str(tmp_path / "checkpoint"))
    weights = algorithm.policy().weights()
    algorithm.stop()
    again = ConservativeQLearning.from_checkpoint(str(tmp_path / "checkpoint"))
    for name, array in again.policy().weights().items():
        np.testing.assert_array_equal(array, weights[name])
    again.read(log)
    again.train()
    assert again.sampled_steps() > rows == 3 * len(next(log.once(2_000, 0))["rewards"])
    again.stop()
