import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.baselines import make_baseline
from benchmarks.children import Child
from simulators.rollout import rollout
from simulators.trace import write_trace
from simulators.value import paired_difference
from simulators.world import SyntheticWorld
from tests.notebooks.browser import opened

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "replay.py"


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("replay_notebook", NOTEBOOK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Eight users for three days under two policies: the files and the traces."""
    folder, made = tmp_path_factory.mktemp("traces"), {}
    for name in ("silence", "rule_book"):
        world = SyntheticWorld(8, seed=3)
        policy = make_baseline(name, world.catalogue)
        made[name] = rollout(world, policy, np.arange(8), days=3)
        write_trace(made[name], folder / f"{name}.parquet")
    return folder, made


def test_two_traces_are_compared_user_by_user(app, traces):
    folder, made = traces
    given = {"trace": f"{folder}/silence.parquet", "other": f"{folder}/rule_book.parquet"}
    _, found = app.run(defs={"given": given})
    assert found["names"] == ["silence", "rule_book"]
    assert found["difference"] == paired_difference(made["silence"], made["rule_book"])


def test_both_policies_meet_the_same_scenes_at_the_same_times(app, traces):
    folder, _ = traces
    _, found = app.run(
        defs={"given": {"trace": f"{folder}/silence.parquet"} | {"policy": "rule_book"}}
    )
    one, two = found["lives"]
    both = min(len(one), len(two))
    assert both > 3
    assert list(one["local"][:both]) == list(two["local"][:both])
    assert list(one["scene"][:both]) == list(two["scene"][:both])
    assert set(one["action"]) == {"silence"}


def test_a_policy_against_itself_makes_no_difference(app, traces):
    folder, _ = traces
    _, found = app.run(defs={"given": {"trace": f"{folder}/silence.parquet"}})
    assert (found["difference"].low, found["difference"].high) == (0.0, 0.0)


def test_the_table_tells_what_the_trace_holds(app, traces):
    folder, made = traces
    given = {"trace": f"{folder}/silence.parquet", "other": f"{folder}/rule_book.parquet"}
    _, found = app.run(defs={"given": given})
    life = found["life"](made["rule_book"], int(found["user"].value))
    contacted = next(i for i, action in enumerate(life["action"]) if action != "silence")
    told = found["moment"](life, contacted)
    assert told["action"] == life["action"][contacted]
    assert told["net value"] == f"{life['net_cents'][contacted] / 100:.2f}"
    assert found["moment"](life, len(life))["scene"] == "left for good"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed")
def test_the_notebook_runs_as_an_app_in_a_browser(tmp_path):
    arguments = ["marimo", "run", str(NOTEBOOK), "--headless", "--no-token"]
    with Child("the notebook", arguments, log=tmp_path / "log") as notebook:
        url = notebook.address(patience_seconds=120)
        with opened(url) as page:
            shown = page.wait_for("One user under two policies", "hidden: fatigue")
            page.screenshot(tmp_path / "replay.png")
    assert "rule_book" in shown and "constant:gift/mini_program" in shown
    assert "Traceback" not in shown and "error" not in shown.lower()
    assert (tmp_path / "replay.png").read_bytes().startswith(b"\x89PNG")
