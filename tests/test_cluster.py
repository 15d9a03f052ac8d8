"""The cluster file against Ray's own validator, the pinned versions and the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parent.parent


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())


def pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


def test_ray_accepts_the_cluster_file(cluster):
    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert set(prepared["available_node_types"]) == {"head", "runner", "learner"}


def test_ray_refuses_the_cluster_file_with_a_misspelt_key(cluster):
    cluster["max_worker"] = cluster.pop("max_workers")
    with pytest.raises(ValidationError, match="max_worker"):
        validate_config(prepare_config(cluster))


def test_the_image_of_every_node_carries_the_pinned_ray(cluster):
    images = [cluster["docker"]["image"]]
    for node in cluster["available_node_types"].values():
        images += [node["docker"]["worker_image"]] if "docker" in node else []
    assert images and all(f":{pinned('ray')}-py311" in image for image in images)


def test_the_mounted_folders_exist(cluster):
    assert all((ROOT / local).is_dir() for local in cluster["file_mounts"].values())


def test_the_dashboard_listens_on_the_head_alone(cluster):
    start = " ".join(cluster["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
