r"""How fast other simulators are on the same core, for a ratio.

They want old packages, so each lives in an environment of its own:

    python3.11 -m venv runs/recsim/venv
    runs/recsim/venv/bin/pip install recsim==0.2.4 dopamine-rl==4.0.9 \
        "tensorflow-cpu<2.16" "numpy<2"

    python3.11 -m venv runs/recogym/venv
    runs/recogym/venv/bin/pip install "numpy<2" "scipy<1.12" "pandas<2.3" matplotlib \
        "scikit-learn<1.6" numba "gym==0.26.2" tqdm torch
    runs/recogym/venv/bin/pip install --no-deps recogym==0.1.3.0

A peer whose environment is not there is left out.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

PEERS: Final = ("recsim", "recogym")
"""Each has a script beside this file, ``peer_NAME.py``, which prints steps a second of one core."""


def peer_python(folder: Path, peer: str) -> Path:
    """The Python that has the peer."""
    return folder / peer / "venv" / "bin" / "python"


def peer_speed(folder: Path, peer: str) -> float | None:
    """Steps a second of one user of the peer, by processor time; None where it cannot run.

    Args:
        folder: holds the peers' environments.
        peer: one of PEERS.
    """
    python = peer_python(folder, peer)
    if not python.exists():
        return None
    script = Path(__file__).with_name(f"peer_{peer}.py")
    command = [str(python), "-W", "ignore", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(ran.stdout.split()[-1]) if ran.returncode == 0 else None
