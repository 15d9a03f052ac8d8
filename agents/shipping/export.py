"""The command that writes a policy as one ONNX file, for other runtimes and languages.

The file answers the question that every policy answers: observations and mask in, the exact
probability of each action out. What is drawn from that row is up to the caller.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import tyro
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from agents.policy import Bundle, QNetworkPolicy, load_bundle
from envs.aside import file_aside
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage

OPSET: Final = 18
IR_VERSION: Final = 9
"""Of ONNX files: old enough for runtimes of some years ago."""


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """Write a bundle's policy as an ONNX file: observations and mask in, probabilities out."""

    bundle: tyro.conf.Positional[Path]
    """Folder of the bundle; a Q-network."""
    out: Path = Path("runs/policy.onnx")
    """The file; an older one is replaced."""
    json: bool = False
    """Print one JSON object."""


def run_export(config: ExportConfig) -> None:
    """The command: load, translate, check, write."""
    if config.out.is_dir():
        raise InputError(f"{config.out} is a folder: give the name of a file")
    bundle = load_bundle(config.bundle)
    content = onnx_bytes(bundle)
    _write(config.out, content)
    if config.json:
        said = {"out": str(config.out), "bytes": len(content), "policy": bundle.policy.name}
        print(json.dumps(said | {"lineage": lineage(bundle.manifest.seed)}))
        return
    line = f"{bundle.policy.describe()} -> {config.out}, {len(content):,} bytes"
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def onnx_bytes(bundle: Bundle) -> bytes:
    """A bundle's policy as the bytes of an ONNX file.

    Inputs are ``observations`` float32 [N, D] and ``mask`` bool [N, A], the output is
    ``probabilities`` float64 [N, A]. The weights are kept as float32 and reckoned with in float64,
    as the bundle does. The metadata names features and actions, in order, and both hashes.

    Raises:
        InputError: a policy that is no Q-network.
    """
    policy = bundle.policy
    if not isinstance(policy, QNetworkPolicy):
        raise InputError(
            f"{bundle.path}: {policy.kind} is not made of layers: only a q_network is exported"
        )
    model = helper.make_model(
        _graph(policy),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scenelift",
        doc_string=policy.describe(),
    )
    helper.set_model_props(model, _said(bundle))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _said(bundle: Bundle) -> dict[str, str]:
    """What the file says of itself, by name."""
    manifest, encoding = bundle.manifest, Encoding(bundle.catalogue)
    return {
        "policy": bundle.policy.name,
        "catalogue_hash": manifest.catalogue_hash,
        "encoding_hash": manifest.encoding_hash,
        "weights_sha256": manifest.weights_sha256,
        "features": json.dumps(encoding.names),
        "actions": json.dumps([action.name for action in bundle.catalogue.actions]),
        "lineage": json.dumps(manifest.lineage),
    }


class _Nodes:
    """Steps of a graph, each with one result, and the constants that they use."""

    def __init__(self) -> None:
        self.steps: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """A constant by name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def step(self, kind: str, result: str, *inputs: str, **settings: Any) -> str:
        """A step; the name of its result."""
        self.steps.append(helper.make_node(kind, list(inputs), [result], result, **settings))
        return result

    def double(self, name: str) -> str:
        """Something as float64."""
        return self.step("Cast", f"{name}.double", name, to=TensorProto.DOUBLE)


def _graph(policy: QNetworkPolicy) -> onnx.GraphProto:
    """``QNetworkPolicy.probabilities``, step by step."""
    nodes, (width, actions) = _Nodes(), policy.shape
    values = _values(nodes, policy)
    worst = nodes.constant("worst", np.asarray(-np.inf))
    allowed = nodes.step("Where", "allowed", "mask", values, worst)
    best = nodes.step("ArgMax", "best", allowed, axis=1, keepdims=1)
    every = nodes.constant("every", np.arange(actions)[None, :])
    chosen = nodes.double(nodes.step("Equal", "chosen", every, best))
    mask = nodes.double("mask")
    axis = nodes.constant("axis", np.asarray([1]))
    count = nodes.step("ReduceSum", "count", mask, axis, keepdims=1)
    share = nodes.step("Div", "share", nodes.constant("floor", np.asarray(policy.floor)), count)
    explored = nodes.step("Mul", "explored", mask, share)
    rest = nodes.constant("rest", np.asarray(1.0 - policy.floor))
    greedy = nodes.step("Mul", "greedy", chosen, rest)
    nodes.step("Add", "probabilities", explored, greedy)
    return helper.make_graph(
        nodes.steps,
        "probabilities",
        [
            helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["N", width]),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, ["N", actions]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["N", actions])],
        nodes.constants,
    )


def _values(nodes: _Nodes, policy: QNetworkPolicy) -> str:
    """The value of every action: layers with ReLU between them."""
    found = nodes.double("observations")
    for i, (weight, bias) in enumerate(policy.layers):
        if i:
            found = nodes.step("Relu", f"layer{i}.input", found)
        weights = nodes.double(nodes.constant(f"layer{i}.weight", weight.astype(np.float32)))
        biases = nodes.double(nodes.constant(f"layer{i}.bias", bias.astype(np.float32)))
        product = nodes.step("MatMul", f"layer{i}.product", found, weights)
        found = nodes.step("Add", f"layer{i}.sum", product, biases)
    return found


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_aside(path) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
