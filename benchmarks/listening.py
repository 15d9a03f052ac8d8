"""An application under uvicorn, with its address printed as other commands print theirs."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI


def listen(app: FastAPI, port: int, name: str) -> None:
    """Serve until SIGTERM; the address is printed once connections are taken."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        print(f"{name} listens at http://127.0.0.1:{port}", flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
