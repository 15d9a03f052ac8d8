"""The application under real HTTP, as the tests of the service start it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import uvicorn

from agents.baselines import make_baseline
from envs.catalogue import Catalogue
from serving.app import create_app
from serving.service import Service
from serving.settings import Settings

SECRET = "a secret of the tests only"
NOON = "2025-03-03T12:00:00Z"


@dataclass
class Running:
    """A service that listens."""

    service: Service
    url: str
    client: httpx.Client

    def offer(self, request_id="r1", user_id="u1", scene="commute", now=NOON, **more):
        body = {"request_id": request_id, "user_id": user_id, "scene": scene, "now": now}
        answer = self.client.post("/v1/offers", json=body | more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def tell(self, *events):
        answer = self.client.post("/v1/events", json={"events": list(events)})
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def running(
    redis_url: str, catalogue: Catalogue, policy: str = "uniform", **settings: object
) -> Iterator[Running]:
    """The application under uvicorn on a free port of this machine."""
    chosen = replace(Settings(redis_url, SECRET), **settings)
    service = Service(catalogue, chosen)
    service.serve_policy(make_baseline(policy, catalogue))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    config = uvicorn.Config(create_app(service), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        # Connections wait in the listener's queue until the server takes them: no need to poll.
        with httpx.Client(base_url=url, timeout=30, verify=False) as client:
            client.get("/healthz").raise_for_status()
            yield Running(service, url, client)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
