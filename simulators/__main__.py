"""Commands of the worlds, such as ``python -m simulators run`` or ``oracle``."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from envs.catalogue import Catalogue
from envs.commands import Command, run_commands
from envs.decisions import Policy


def load_policy(spec: str, catalogue: Catalogue) -> Policy:
    """The policy a person named, loaded by the room of the learners.

    This is the one place where the worlds reach up to the learners, by name and only when a
    command plays a policy: rollouts themselves take any object with ``probabilities``.
    """
    policy: Policy = importlib.import_module("agents.policy").load_policy(spec, catalogue)
    return policy


COMMANDS: Final = {
    "run": Command("simulators.run", "RunConfig", "run_rollout", (load_policy,)),
    "bench": Command("simulators.speed.bench", "BenchConfig", "run_bench"),
    "calibrate": Command(
        "simulators.calibration.command", "CalibrateConfig", "run_calibrate", (load_policy,)
    ),
    "replay": Command("simulators.replay", "ReplayConfig", "run_replay", (load_policy,)),
    "import": Command("simulators.logs.importing", "ImportConfig", "run_import"),
    "log": Command("simulators.logs.played", "LogConfig", "run_log", (load_policy,)),
    "oracle": Command("simulators.oracle.command", "OracleConfig", "run_oracle"),
    "snapshot": Command("simulators.snapshot", "SnapshotConfig", "run_snapshot", (load_policy,)),
    "traffic": Command("simulators.clients.traffic", "TrafficConfig", "run_traffic"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    what = "Worlds that pose offer decisions."
    return run_commands("python -m simulators", what, COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
