"""Ray for the time of a training: a small one here, or a cluster that is already there."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_ray(address: str | None, processes: int = 0) -> Iterator[None]:
    """Ray for the time of a training: a small local one, or a cluster's; ended only if ours.

    Args:
        address: of a cluster; RAY_ADDRESS when left out, and a Ray of our own without either.
        processes: remote ones that are wanted; they share the cores where there are fewer.
    """
    address = address or os.environ.get("RAY_ADDRESS")  # set where `ray job submit` runs us
    if address is None and "RAY_AUTH_MODE" not in os.environ:
        # Some ports of Ray listen on all addresses: only whoever knows this may speak to them.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    import torch

    torch.set_num_threads(1)
    for name in ("ray", "ray.rllib", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours and address is not None:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    elif ours:
        ray.init(
            num_cpus=max(os.cpu_count() or 1, processes + 1),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=200 * 2**20,
            _node_ip_address="127.0.0.1",
        )
    try:
        with warnings.catch_warnings():
            # RLlib warns of its own old ways, which nobody here can change.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if ours:
            ray.shutdown()
