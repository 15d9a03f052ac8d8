"""Commands of the service, such as ``python -m serving up``."""

from __future__ import annotations

import sys
from typing import Final

from envs.commands import Command, run_commands

COMMANDS: Final = {
    "up": Command("serving.up", "UpConfig", "run_up"),
    "status": Command("serving.status", "StatusConfig", "run_status"),
    "writer": Command("serving.journal.writer", "WriterConfig", "run_writer"),
    "journal": Command("serving.journal.log", "JournalConfig", "run_journal"),
    "key": Command("serving.access.key", "KeyConfig", "run_key"),
    "describe": Command("serving.describe", "DescribeConfig", "run_describe"),
    "policies": Command("serving.policies.promote", "PoliciesConfig", "run_policies"),
    "load": Command("serving.policies.promote", "LoadConfig", "run_load"),
    "promote": Command("serving.policies.promote", "PromoteConfig", "run_promote"),
    "shadow": Command("serving.policies.promote", "ShadowConfig", "run_shadow"),
    "canary": Command("serving.policies.promote", "CanaryConfig", "run_canary"),
    "rollback": Command("serving.policies.promote", "RollbackConfig", "run_rollback"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    what = "Offer decisions over HTTP."
    return run_commands("python -m serving", what, COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
