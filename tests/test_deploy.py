"""The deployment files against Ray's validator, KubeRay's types, the pins and the command line."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from agents.training.settings import TrainConfig, check_training
from serving.journal.writer import WriterConfig
from tests.test_cluster import pinned

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "docs" / "deploy"

# Fields by KubeRay's types for ray.io/v1 (ray-operator/apis/ray/v1 in ray-project/kuberay), with
# those that may not be left out marked by an exclamation mark.
JOB = (
    "entrypoint! rayClusterSpec! shutdownAfterJobFinishes ttlSecondsAfterFinished backoffLimit "
    "activeDeadlineSeconds submissionMode runtimeEnvYAML suspend entrypointNumCpus"
)
SERVICE = "serveConfigV2! rayClusterConfig! serveService"
CLUSTER = "headGroupSpec! workerGroupSpecs rayVersion! enableInTreeAutoscaling autoscalerOptions"
HEAD = "rayStartParams! template! serviceType headService enableIngress"
WORKER = "groupName! replicas minReplicas! maxReplicas! numOfHosts rayStartParams! template!"
CONTAINER = "name! image! command resources! env volumeMounts ports lifecycle"


def load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def assert_fields(given: dict[str, Any], known: str) -> None:
    names = {name.rstrip("!") for name in known.split()}
    assert given.keys() <= names
    assert {name.rstrip("!") for name in known.split() if name.endswith("!")} <= given.keys()


def cluster_of(name: str) -> dict[str, Any]:
    spec = load(name)["spec"]
    return spec.get("rayClusterSpec") or spec["rayClusterConfig"]


def groups_of(name: str) -> list[dict[str, Any]]:
    cluster = cluster_of(name)
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_ray_accepts_the_cluster_of_machines_that_are_there_already() -> None:
    prepared = prepare_config(load("ray_cluster_on_premise.yaml"))
    validate_config(prepared)
    (node,) = prepared["available_node_types"].values()
    assert node["max_workers"] == len(prepared["provider"]["worker_ips"])


def test_both_clusters_start_the_same_image_and_install_the_same() -> None:
    cloud = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())
    here = load("ray_cluster_on_premise.yaml")
    for same in ("docker", "setup_commands", "file_mounts", "rsync_exclude"):
        assert here[same] == cloud[same]
    assert "--dashboard-host=127.0.0.1" in " ".join(here["head_start_ray_commands"])
    assert "RAY_AUTH_MODE=disabled" in " ".join(here["worker_start_ray_commands"])


@pytest.mark.parametrize(
    ("name", "kind", "known"),
    [("train.yaml", "RayJob", JOB), ("serve.yaml", "RayService", SERVICE)],
)
def test_the_manifests_have_the_fields_of_kuberay(name: str, kind: str, known: str) -> None:
    manifest = load(name)
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", kind)
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?", manifest["metadata"]["name"])
    assert_fields(manifest["spec"], known)
    cluster = cluster_of(name)
    assert_fields(cluster, CLUSTER)
    assert_fields(cluster["headGroupSpec"], HEAD)
    for group in cluster["workerGroupSpecs"]:
        assert_fields(group, WORKER)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups_of(name):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("name", ["train.yaml", "serve.yaml"])
def test_every_pod_runs_the_pinned_ray_and_says_how_it_authenticates(name: str) -> None:
    assert cluster_of(name)["rayVersion"] == pinned("ray")
    for group in groups_of(name):
        pod = group["template"]["spec"]
        container, *_ = pod["containers"]  # KubeRay takes the first for Ray's
        assert_fields(container, CONTAINER)
        assert container["image"] == f"scenelift:ray-{pinned('ray')}-py311"
        assert container["resources"]["requests"] == container["resources"]["limits"]
        env = {entry["name"]: entry for entry in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "disabled"
        assert env["RAY_USAGE_STATS_ENABLED"]["value"] == "0"
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        volumes = {v["name"]: v["persistentVolumeClaim"] for v in pod.get("volumes", [])}
        assert mounted == volumes.keys()
        claim = load("runs.yaml")["metadata"]["name"]
        assert all(volume["claimName"] == claim for volume in volumes.values())


def test_the_image_is_built_from_the_pinned_ray() -> None:
    assert f"FROM rayproject/ray:{pinned('ray')}-py311\n" in (DEPLOY / "Dockerfile").read_text()


def test_the_job_is_a_training_that_can_be_begun_anew() -> None:
    words = shlex.split(load("train.yaml")["spec"]["entrypoint"])
    assert words[:4] == ["python", "-m", "agents", "train"]
    config = tyro.cli(TrainConfig, args=words[4:])
    check_training(dataclasses.replace(config, out=Path("runs/none"), checkpoint=Path("runs/none")))
    assert config.go_on
    (group,) = cluster_of("train.yaml")["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert config.runners == group["replicas"] * int(container["resources"]["limits"]["cpu"])


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")
def test_the_service_is_that_of_the_serve_config() -> None:
    from ray.serve.schema import ServeDeploySchema

    from serving.deployment import DeployArguments

    given = yaml.safe_load(load("serve.yaml")["spec"]["serveConfigV2"])
    known = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    ServeDeploySchema.model_validate(given)
    (application,), (usual,) = given["applications"], known["applications"]
    for same in ("name", "route_prefix", "import_path"):
        assert application[same] == usual[same]
    for same in ("proxy_location", "logging_config"):
        assert given[same] == known[same]
    assert given["http_options"]["port"] == known["http_options"]["port"]
    arguments = DeployArguments.model_validate(application["args"])
    trained = shlex.split(load("train.yaml")["spec"]["entrypoint"])
    assert arguments.policy == trained[trained.index("--out") + 1]


def test_the_pods_of_the_service_have_the_environment_that_the_serve_config_asks_for() -> None:
    asked = re.findall(r"([A-Z][A-Za-z_]+)=", (ROOT / "serve_config.yaml").read_text())
    assert {"REDIS_URL", "SCENELIFT_USER_SECRET", "SCENELIFT_API_KEYS"} <= set(asked)
    for group in groups_of("serve.yaml"):
        container, *_ = group["template"]["spec"]["containers"]
        assert set(asked) <= {entry["name"] for entry in container["env"]}


def test_one_journal_writer_stands_beside_the_service() -> None:
    head, *workers = groups_of("serve.yaml")
    ray, writer = head["template"]["spec"]["containers"]
    assert all(len(group["template"]["spec"]["containers"]) == 1 for group in workers)
    assert_fields(writer, CONTAINER)
    assert writer["image"] == ray["image"]
    assert writer["command"][:4] == ["python", "-m", "serving", "writer"]
    config = tyro.cli(WriterConfig, args=writer["command"][4:])
    (mount,) = writer["volumeMounts"]
    assert config.run_dir.is_relative_to(mount["mountPath"]) and not mount.get("readOnly")
    assert config.catalogue is not None and config.catalogue.name == "catalogue.yaml"
    assert [entry["name"] for entry in writer["env"]] == ["REDIS_URL"]
