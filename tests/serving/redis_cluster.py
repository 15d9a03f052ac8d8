"""A Redis Cluster of three nodes on this machine, for the tests of the service."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from serving.ingress import free_ports

SLOTS = 16_384
READY_WITHIN_S = 60.0


class RedisCluster:
    """A running cluster."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.url = f"redis+cluster://127.0.0.1:{ports[0]}"

    def nodes(self) -> list[redis.Redis]:
        return [redis.Redis(port=port) for port in self.ports]


@contextmanager
def redis_cluster(folder: Path, program: Path, nodes: int = 3) -> Iterator[RedisCluster]:
    """Three servers that share the slots; all of them end with the block."""
    with ExitStack() as stack:
        ports = _ports(nodes)
        for port in ports:
            stack.callback(_end, _node(folder / str(port), program, port))
        cluster = RedisCluster(ports)
        clients = cluster.nodes()
        stack.callback(lambda: [client.close() for client in clients])
        deadline = time.monotonic() + READY_WITHIN_S
        for number, client in enumerate(clients):
            _until(lambda client=client: client.ping(), deadline)
            share = range(number * SLOTS // nodes, (number + 1) * SLOTS // nodes)
            client.execute_command("CLUSTER ADDSLOTS", *share)
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", ports[number])
        for client in clients:
            _until(lambda client=client: _whole(client, nodes), deadline)
        yield cluster


def _ports(count: int) -> list[int]:
    """Free ports; the bus of a node listens ten thousand above it."""
    found: list[int] = []
    while len(found) < count:
        (port,) = free_ports(1)
        with socket.socket() as bus, suppress(OSError):
            bus.bind(("127.0.0.1", port + 10_000))
            found.append(port)
    return found


def _node(folder: Path, program: Path, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-port": port + 10_000,
        "dir": str(folder),
        "appendonly": "no",
        "save": "",
        "logfile": "redis.log",
    }
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if "v=6" in version.stdout:
        del options["cluster-port"]  # not to be chosen there: it is the same anyway
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen([program, *words], cwd=folder, stdout=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def _whole(client: redis.Redis, nodes: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    found = dict(line.split(":") for line in _text(info).splitlines() if ":" in line)
    return found["cluster_state"] == "ok" and found["cluster_known_nodes"] == str(nodes)


def _text(info: object) -> str:
    if isinstance(info, dict):
        return "\n".join(f"{name}:{value}" for name, value in info.items())
    return info.decode() if isinstance(info, bytes) else str(info)


def _until(true, deadline: float) -> None:
    """Ask again until it holds."""
    while True:
        try:
            if true():
                return
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, "the cluster did not become ready"
        time.sleep(0.05)
