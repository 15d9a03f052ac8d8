"""Training goes on when machines are lost, and takes them back."""

import time
from collections.abc import Iterator

import pytest
from ray.cluster_utils import Cluster

from agents.algorithm import OfferAlgorithm
from agents.learners import LEARNERS
from agents.learning.endurance import ASK_EVERY_S, PATIENCE_S, Lookout, enduring
from envs.errors import InputError
from simulators.cluster import quiet_ray
from tests.agents.rationing import OPTIMUM, Rationing, every_state


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lost_runners_are_asked_now_and_then_while_others_work_and_always_when_none_does() -> None:
    clock = Clock()
    lookout = Lookout(clock)
    assert lookout.has_to_ask(working=1)
    assert not lookout.has_to_ask(working=1)
    assert lookout.has_to_ask(working=0)
    clock.now += ASK_EVERY_S / 2
    assert not lookout.has_to_ask(working=1)
    clock.now += ASK_EVERY_S / 2
    assert lookout.has_to_ask(working=1)


def test_training_ends_with_what_can_be_done_when_no_runner_answers_for_long() -> None:
    clock = Clock()
    lookout = Lookout(clock)
    for _ in range(3):
        clock.now += PATIENCE_S
        lookout.heard(steps=0)
        lookout.heard(steps=512)
    clock.now += PATIENCE_S + 1
    with pytest.raises(InputError, match="--resume"):
        lookout.heard(steps=0)


@pytest.fixture
def three_nodes() -> Iterator[Cluster]:
    """A head without room for runners, and two machines with room for one each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        with quiet_ray(cluster.address):
            yield cluster
    finally:
        cluster.shutdown()


def train(algorithm: OfferAlgorithm, iterations: int) -> int:
    """Iterate; the steps that this brought."""
    before = algorithm.sampled_steps()
    for _ in range(iterations):
        algorithm.train()
    return algorithm.sampled_steps() - before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_goes_on_when_a_machine_is_killed_and_takes_the_next_one_in(
    three_nodes: Cluster,
) -> None:
    config = LEARNERS["q"].make().environment(Rationing).debugging(seed=0, log_level="ERROR")
    config.env_runners(
        num_env_runners=2, num_envs_per_env_runner=32, rollout_fragment_length=4
    ).training(
        reward="sampled", hidden=(32,), updates=16, first_rows=500, silence_steps=500,
        replay_rows=20_000, epsilon=(1.0, 0.2, 5_000), lr=3e-3, tau=0.2,
        train_batch_size_per_learner=64, gamma=0.9,
    )  # fmt: skip
    algorithm: OfferAlgorithm = enduring(config).build_algo()
    group = algorithm.env_runner_group
    both = train(algorithm, 10)
    three_nodes.remove_node(next(iter(three_nodes.worker_nodes)), allow_graceful=False)
    alone = [train(algorithm, 1) for _ in range(20)]
    assert group.num_healthy_remote_env_runners() == 1
    assert min(alone) > 0
    assert sum(alone) > 0.9 * both  # twice the iterations, half the runners; restarts are no steps
    three_nodes.add_node(num_cpus=1)
    patience = time.monotonic() + 180
    while group.num_healthy_remote_env_runners() < 2 and time.monotonic() < patience:
        train(algorithm, 1)
    assert group.num_healthy_remote_env_runners() == 2
    assert train(algorithm, 10) > 0.8 * both  # restarts of users are no steps: not to the row
    train(algorithm, 60)
    rows = algorithm.policy().probabilities(*every_state())
    algorithm.stop()
    assert rows.argmax(axis=1).tolist() == OPTIMUM
