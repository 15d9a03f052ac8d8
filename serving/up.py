"""Everything started in order, and stopped in order: Redis, the journal, Ray Serve."""

from __future__ import annotations

import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import httpx
import tyro

from envs.catalogue import Catalogue
from envs.errors import InputError
from serving.ingress import end_haproxy, prepare, require_free
from serving.journal.files import JournalFiles
from serving.journal.writer import Keeper, begun, only_writer, opened
from serving.journal.writer_process import WriterProcess
from serving.security import WITHOUT_KEYS, Keys, require_loopback
from serving.service import catalogue_of
from serving.settings import Settings, run_secret
from serving.store.redis_server import RedisServer, require_answer
from serving.watching import logs
from serving.words.signals import reader_text

logger = logging.getLogger(__name__)

READY_WITHIN_S: Final = 60.0
SHORT: Final = "/tmp"
"""Where sockets lie while the service runs: their whole path must not exceed 107 bytes, which the
usual folder for temporary files may already use up."""


@dataclass(frozen=True, slots=True)
class UpConfig:
    """Serve a policy over HTTP until Ctrl-C."""

    policy: str = "rule_book"
    """Folder of a bundle, or a baseline: silence, uniform, rule_book, constant:OFFER/CHANNEL."""
    catalogue: Path | None = None
    """Catalogue to serve; the bundle's own, or the default one, when left out."""
    scenes: Path | None = None
    """File that reads scenes from signals, as ``python -m agents scenes`` makes it;
    SCENELIFT_SCENES, or none, when left out."""
    port: int = 8000
    """Port to listen on."""
    host: str = "127.0.0.1"
    """Address to listen on; others than this machine's own need SCENELIFT_API_KEYS, which
    ``python -m serving key`` makes."""
    redis: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """Redis 6.2 or newer, as redis://HOST:PORT/0; REDIS_URL, or a server of our own, if left
    out."""
    run_dir: Path = Path("runs/serving")
    """Where the users, the journal and the secret are kept."""
    replicas: int = 1
    """Processes that decide."""


def run_up(config: UpConfig) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        InputError: something that the caller can mend keeps it from starting.
    """
    logs.start(logs.style_of(os.environ), "up")
    stopped = threading.Event()
    _listen(stopped)
    with serving(config, stopped) as address:
        if not stopped.is_set():
            name = config.policy
            if not os.environ.get("SCENELIFT_API_KEYS", "").strip(" ,"):
                print(f"warning: {WITHOUT_KEYS}", file=sys.stderr, flush=True)
            print(f"SceneLift serves {name} at {address} until Ctrl-C", flush=True)
            stopped.wait()


def _listen(stopped: threading.Event) -> None:
    """Let SIGINT and SIGTERM set the event."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())


@contextmanager
def serving(config: UpConfig, stopped: threading.Event) -> Iterator[str]:
    """The address of the running service; all that was started ends with the block."""
    require_loopback(config.host, Keys.parse(os.environ.get("SCENELIFT_API_KEYS", "")))
    if not 1 <= config.replicas <= 64:
        raise InputError(f"--replicas {config.replicas}: give 1 to 64")
    require_free(config.host, config.port)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="sl-", dir=SHORT))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(end_haproxy, folder)
        os.environ.update(prepare(folder))  # before Ray is imported, which reads it then
        catalogue = catalogue_of(config.policy, config.catalogue)
        _make_folder(config.run_dir)
        settings = Settings.read(
            os.environ, _redis(config, stack), run_secret(os.environ, config.run_dir)
        )
        shared = folder / "metrics"
        shared.mkdir()
        scenes = reader_text(config.scenes or os.environ.get("SCENELIFT_SCENES", ""), catalogue)
        settings = replace(settings, metrics_dir=str(shared), scenes=scenes)
        _keep_journal(config.run_dir, catalogue, settings, stack)
        _start_ray(config, folder, stack)
        _listen(stopped)  # Ray has put handlers of its own in the place of ours
        _start_serve(config, catalogue, settings)
        # The address at which this machine reaches it, whatever it listens on.
        near = "127.0.0.1" if config.host in ("0.0.0.0", "::", "localhost") else config.host
        address = f"http://{near}:{config.port}"
        _wait_until_ready(address, stopped)
        yield address


def _make_folder(run_dir: Path) -> None:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--run-dir {run_dir} cannot be made: {error}") from None


def _redis(config: UpConfig, stack: ExitStack) -> str:
    """URL of the Redis to use: the one given, else one of our own."""
    given = config.redis or os.environ.get("REDIS_URL", "")
    if given:
        require_answer(given)
        return given
    return stack.enter_context(RedisServer.start(config.run_dir / "redis")).url


def _keep_journal(
    run_dir: Path, catalogue: Catalogue, settings: Settings, stack: ExitStack
) -> None:
    """A writer beside us; at the end what it has left is written here, and the log is made."""
    with only_writer(run_dir):  # else another service's writer would keep ours from starting
        files = begun(run_dir, catalogue)
    stack.callback(files.merge, settings.outcome_days)
    stack.callback(_empty_journal, run_dir, catalogue, settings.redis_url)
    process = WriterProcess(run_dir, files.described, settings.redis_url)
    stack.callback(process.stop)  # before the merge and before Redis: the stack goes backwards


def _empty_journal(run_dir: Path, catalogue: Catalogue, redis_url: str) -> None:
    """Write what a writer has left that was killed, or ended before it had begun."""
    with only_writer(run_dir):
        files = JournalFiles(run_dir, catalogue)
        Keeper(lambda: opened(redis_url, catalogue, files), files).finish()


def _start_ray(config: UpConfig, folder: Path, stack: ExitStack) -> None:
    """A Ray of our own, on this machine, ended with the stack."""
    import ray

    stack.callback(_end_ray)
    try:
        ray.init(
            address="local",
            num_cpus=config.replicas,
            include_dashboard=False,
            configure_logging=True,
            logging_level=logging.ERROR,
            log_to_driver=False,
            object_store_memory=100 * 2**20,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray did not start: {error}") from None


def _end_ray() -> None:
    """Let requests end, then end all that Ray has started."""
    import ray
    from ray import serve

    # Ray tells on standard output, as an error, that the controller which it was asked to end has
    # ended.
    with redirect_stdout(io.StringIO()):
        if ray.is_initialized():
            try:
                serve.shutdown()  # type: ignore[no-untyped-call]
            except Exception as error:  # it waits for the end of an actor, by that actor's failure
                logger.warning("Ray Serve did not end in order: %r; its processes are ended", error)
        ray.shutdown()


def _start_serve(config: UpConfig, catalogue: Catalogue, settings: Settings) -> None:
    from ray import serve
    from ray.exceptions import RayError

    from serving.deployment import application

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": config.host, "port": config.port},
        )
        log_dir = (config.run_dir / "logs").resolve()
        app = application(config.policy, catalogue, settings, config.replicas, log_dir)
        serve.run(app, name="scenelift", route_prefix="/")
    except (RayError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(f"Ray Serve with the HAProxy ingress did not start: {reason}") from None


def _wait_until_ready(address: str, stopped: threading.Event) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    last = "no answer"
    while time.monotonic() < deadline and not stopped.is_set():
        try:
            answer = httpx.get(f"{address}/readyz", timeout=2.0)
            if answer.status_code == 200:
                return
            last = answer.text
        except httpx.HTTPError as error:
            last = str(error) or type(error).__name__
        stopped.wait(0.1)
    if not stopped.is_set():
        raise InputError(f"{address} was not ready within {READY_WITHIN_S:.0f} s: {last}")
