import httpx
import pytest

from benchmarks.children import Child
from benchmarks.served import surroundings
from serving.ingress import free_ports
from serving.store.redis_server import RedisServer


@pytest.mark.slow
def test_the_floor_reads_and_writes_and_answers(tmp_path):
    with RedisServer.start(tmp_path / "redis") as redis:
        arguments = ["benchmarks.floor", "--redis", redis.url, "--port", str(free_ports(1)[0])]
        arguments += ["--redis-timeout-ms", "5000"]
        with Child("the floor", arguments, tmp_path / "log", environment=surroundings()) as child:
            body = {"request_id": "r1", "user_id": "u1", "scene": "commute"}
            answer = httpx.post(f"{child.address(60)}/v1/offers", json=body, timeout=30)
    assert answer.status_code == 200
    assert answer.json()["degraded"] is False
    assert answer.json()["decision_id"] == "f:d:r1"
