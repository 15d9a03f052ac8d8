"""What is counted, by one replica and by several that share a folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.watching.breaker import Breaker
from serving.watching.metrics import Metrics
from serving.watching.metrics_folder import MetricsFolder

ROOT = Path(__file__).parent.parent.parent
REPLICA = """
import sys
from serving.watching.metrics import Metrics
metrics = Metrics(sys.argv[1])
metrics.policy_is("serving", "uniform")
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


def samples(text):
    """Name and labels of each sample -> value."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


class Replica:
    """A process that counts what it is told to, into a folder."""

    def __init__(self, folder):
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", REPLICA, str(folder)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def does(self, code):
        self.process.stdin.write(code + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def killed(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def text(self, path):
        self.does(f"open({str(path)!r}, 'wb').write(metrics.text(None, True))")
        return samples(path.read_bytes())


@pytest.fixture
def replicas(tmp_path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    started = []

    def start():
        started.append(Replica(folder))
        return started[-1]

    yield start
    for replica in started:
        if replica.process.poll() is None:
            replica.killed()


def test_a_decision_is_counted_by_scene_channel_policy_and_arm():
    metrics = Metrics()
    for _ in range(2):
        metrics.count_decisions("commute", "push", "uniform", "canary")
        metrics.count_refusals({"consent": 3}, 25)
    metrics.count_decisions("home", "silence", "uniform", "serving")
    counted = samples(metrics.text(None, True))
    assert counted["scenelift_decisions_total", "canary", "commute", "push", "uniform"] == 2
    assert counted["scenelift_decisions_total", "home", "serving", "silence", "uniform"] == 1
    assert counted["scenelift_refusals_total", "consent"] == 6
    assert counted["scenelift_reserved_cents_total",] == 50


def test_what_became_of_calls_and_decisions_is_counted():
    metrics = Metrics()
    metrics.count_degraded("redis")
    metrics.count_events("clicked", "accepted", 3)
    metrics.count_outcome("clicked", 2)
    metrics.count_deferral("lapsed")
    metrics.observe("offers:batch", 0.004)
    counted = samples(metrics.text(None, True))
    assert counted["scenelift_degraded_total", "redis"] == 1
    assert counted["scenelift_events_total", "accepted", "clicked"] == 3
    assert counted["scenelift_outcomes_total", "clicked"] == 2
    assert counted["scenelift_deferrals_total", "lapsed"] == 1
    assert counted["scenelift_seconds_count", "offers:batch"] == 1


def test_one_state_of_the_breaker_and_one_policy_a_role_are_true_at_a_time():
    metrics = Metrics()
    breaker = Breaker(failures=1, pause_s=0.0, changed=metrics.breaker_is)
    assert samples(metrics.text(None, True))["scenelift_replicas_ready",] == 0
    metrics.policy_is("serving", "one")
    assert samples(metrics.text(None, True))["scenelift_replicas_ready",] == 1
    metrics.policy_is("serving", "two")
    for _ in range(3):  # one outage with two probes
        breaker.failed()
        breaker.allows()
    breaker.failed()
    counted = samples(metrics.text(None, True))
    states = [counted["scenelift_breaker_replicas", state] for state in ("closed", "open")]
    assert states == [0, 1]
    assert counted["scenelift_breaker_openings_total",] == 1
    assert counted["scenelift_policy_replicas", "one", "serving"] == 0
    assert counted["scenelift_policy_replicas", "serving", "two"] == 1


def test_the_budget_is_told_when_there_is_one():
    state = {"budget_cents": 1000, "plan_cents": 410.5, "price": 0.25, "unknown": 1}
    told = samples(Metrics().text(7, True, state, replicas=3))
    names = ("budget_cents", "budget_plan_cents", "budget_price", "journal_lag", "replicas_wanted")
    assert [told[f"scenelift_{name}",] for name in names] == [1000, 410.5, 0.25, 7, 3]
    without = samples(Metrics().text(None, True))
    assert not any(name.startswith("scenelift_budget") for name, *_ in without)


@pytest.mark.promise("metrics-outlive")
def test_counts_of_dead_replicas_go_on_counting_and_their_files_go(replicas, tmp_path):
    folder, text = tmp_path / "metrics", tmp_path / "text"
    reader, names = replicas(), ("scenelift_seconds_count", "scenelift_seconds_bucket")
    reader.does("metrics.count_degraded('redis')")
    for round_number in range(1, 4):
        other = replicas()
        other.does("metrics.count_degraded('redis', 10); metrics.observe('offers', 0.0015)")
        for dead in (False, True):
            if dead:
                other.killed()
            counted = reader.text(text)
            assert counted["scenelift_degraded_total", "redis"] == 1 + 10 * round_number
            assert counted[names[0], "offers"] == round_number
            assert counted[names[1], "0.002", "offers"] == round_number
            assert counted[names[1], "0.001", "offers"] == 0
            for gauge in (
                ("replicas",),
                ("replicas_ready",),
                ("policy_replicas", "serving", "uniform"),
            ):
                assert counted[f"scenelift_{gauge[0]}", *gauge[1:]] == (1 if dead else 2)
        numbers = {path.stem.rpartition("_")[2] for path in folder.glob("*.db")}
        assert numbers == {str(reader.process.pid), "dead"}


def test_a_reader_does_not_wait_for_a_replica_that_was_stopped_with_the_lock(replicas, tmp_path):
    other, reader = replicas(), replicas()
    other.does("metrics.count_degraded('redis')")
    lock = str(tmp_path / "metrics" / "lock")
    other.does(f"import fcntl; held = open({lock!r}, 'ab'); fcntl.flock(held, fcntl.LOCK_EX)")
    assert reader.text(tmp_path / "text")["scenelift_degraded_total", "redis"] == 1


class Cut(BaseException):
    """A process ends here."""


@pytest.fixture(scope="module")
def of_the_dead(tmp_path_factory):
    """The folder that two replicas have left."""
    folder = tmp_path_factory.mktemp("dead")
    for _ in range(2):
        dead = Replica(folder)
        dead.does("metrics.count_degraded('redis', 10); metrics.observe('offers', 0.0015)")
        dead.killed()
    return folder


@pytest.mark.parametrize("steps", range(20))
def test_adding_up_the_dead_may_be_cut_short_at_any_step(of_the_dead, tmp_path, monkeypatch, steps):
    folder = shutil.copytree(of_the_dead, tmp_path / "metrics")
    left = [steps]

    def until_cut(work):
        def step(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Cut
            return work(*arguments, **options)

        return step

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, until_cut(getattr(Path, name)))
        with pytest.raises(Cut):
            MetricsFolder(folder).text()
    for _ in range(2):
        counted = samples(MetricsFolder(folder).text())
        assert counted["scenelift_degraded_total", "redis"] == 20
        assert counted["scenelift_seconds_count", "offers"] == 2
