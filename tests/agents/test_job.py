"""Training as a job that is submitted to a cluster, with the checkout that travels along."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from ray.cluster_utils import Cluster
from ray.job_submission import JobSubmissionClient

from agents.policy import load_bundle
from agents.training.curves import curves_beside
from serving.ingress import free_ports

ROOT = Path(__file__).parent.parent.parent
pytestmark = [
    # Where the dashboard takes its time, Ray's client leaves a socket behind that reached nobody.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*<socket:pytest.PytestUnraisableExceptionWarning"),
]


def wait_until_it_takes_jobs(address: str) -> None:
    """The dashboard answers before the agent that runs jobs is there."""
    patience = time.monotonic() + 120
    while True:
        try:
            JobSubmissionClient(address).submit_job(entrypoint="true")
            return
        except (RuntimeError, ConnectionError):
            if time.monotonic() > patience:
                raise
            time.sleep(0.5)


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster's dashboard: one machine for the driver and a runner.

    Machines of a cluster that are one in truth unpack a job's working directory over each other.
    Its folder is its own, and short for the sake of sockets: what runs a job finds its cluster
    through a file there, where any other Ray of this machine would write its own address.
    """
    port, of_the_agent = free_ports(2)
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        head = {"num_cpus": 2, "include_dashboard": True, "dashboard_port": port,
                "dashboard_agent_listen_port": of_the_agent}  # fmt: skip
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_it_takes_jobs(address)
            yield address
        finally:
            cluster.shutdown()


@pytest.mark.slow
def test_a_submitted_training_leaves_bundle_checkpoint_and_curves(
    dashboard: str, tmp_path: Path
) -> None:
    out, kept = tmp_path / "policy", tmp_path / "kept"
    submit = [Path(sys.executable).with_name("ray"), "job", "submit", "--address", dashboard]
    train = ["train", "q", "--preset", "small", "--steps", "30000", "--runners", "1", "--json"]
    kinds = ["--out", out, "--checkpoint", kept, "--go-on", "--evaluate-users", "0"]
    run = subprocess.run(
        [*submit, "--working-dir", ROOT, "--", sys.executable, "-m", "agents", *train, *kinds],
        cwd=tmp_path, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"},
        timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"Job '\S+' succeeded", run.stdout)
    assert load_bundle(out).manifest.figures["steps"] >= 30_000
    assert [path.name for path in kept.iterdir()] == ["000001"]
    assert len(list(curves_beside(out).glob("events.out.tfevents.*"))) == 1
