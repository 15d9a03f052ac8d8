"""The same deployment in Ray Serve as it comes: its own proxy, none of our settings for it."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from pathlib import Path

import tyro

from benchmarks.plain import PlainConfig
from serving.service import catalogue_of
from serving.settings import Settings


def main() -> None:
    """Serve until SIGTERM."""
    config = tyro.cli(PlainConfig, prog="python -m benchmarks.as_it_comes", description=__doc__)
    import ray
    from ray import serve

    from serving.deployment import application

    settings = Settings.read(os.environ, config.redis, "a secret of the benchmark")
    catalogue = catalogue_of(config.policy, None)
    with tempfile.TemporaryDirectory(prefix="sl-", dir="/tmp") as folder:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=100 * 2**20,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
        serve.start(http_options={"host": "127.0.0.1", "port": config.port})
        serve.run(
            application(config.policy, catalogue, settings, 1, Path(folder) / "logs"),
            name="scenelift",
            route_prefix="/",
        )
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        print(f"Ray Serve listens at http://127.0.0.1:{config.port}", flush=True)
        stopped.wait()
        ray.shutdown()


if __name__ == "__main__":
    main()
