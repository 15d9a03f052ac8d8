"""Commands of the learners: ``python -m agents train|tune|evaluate|ope|score|export|...``."""

from __future__ import annotations

import sys
from typing import Final

from envs.commands import Command, run_commands

COMMANDS: Final = {
    "train": Command("agents.train", "TrainConfig", "run_train"),
    "tune": Command("agents.training.tune", "TuneConfig", "run_tune"),
    "evaluate": Command("agents.judging.evaluate", "EvaluateConfig", "run_evaluate"),
    "price": Command("agents.judging.price", "PriceConfig", "run_price"),
    "ope": Command("agents.ope", "OpeConfig", "run_ope"),
    "score": Command("agents.shipping.score", "ScoreConfig", "run_score"),
    "export": Command("agents.shipping.export", "ExportConfig", "run_export"),
    "scenes": Command("agents.scenes", "ScenesConfig", "run_scenes"),
    "distil": Command("agents.shipping.distil", "DistilConfig", "run_distil"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    what = "Learners that solve the offer decision, and judges of policies."
    return run_commands("python -m agents", what, COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
