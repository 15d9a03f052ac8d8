"""Files of users decided by several machines."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ray.cluster_utils import Cluster

from agents.__main__ import main
from agents.baselines import Uniform
from agents.shipping.scoring import Scorer
from envs.catalogue import load_catalogue
from simulators.make import world_factory
from simulators.snapshot import Life, people_after
from simulators.user_rows import UserReader


@pytest.fixture
def address() -> Iterator[str]:
    """A head that has no room for work, and two machines with room for one piece each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_two_machines_decide_as_one_batch_does(address: str, tmp_path: Path) -> None:
    table = people_after(np.arange(300), Life(world_factory(), 0, Uniform(), 1.0))
    users, out = tmp_path / "users.parquet", tmp_path / "out"
    pq.write_table(table, users, row_group_size=20)
    given = ["score", "uniform", str(users), "--out", str(out), "--seed", "3"]
    assert main([*given, "--address", address]) == 0
    rows = UserReader(users, load_catalogue()).people(table.combine_chunks().to_batches()[0])
    decided = Scorer(load_catalogue(), Uniform(), seed=3).decide(rows)
    assert pq.read_table(out).column("action_index").to_pylist() == decided.actions.tolist()
