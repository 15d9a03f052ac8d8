from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agents.baselines import make_baseline
from envs.catalogue import Catalogue, load_catalogue
from envs.clock import parse_time, utc_offset_seconds
from envs.decisions import EventKind, Events, Moment, Policy
from envs.encoding import Encoding
from envs.errors import InputError
from envs.rules import Rules
from envs.users import UserState, advance
from simulators.clients.answers import Answer
from simulators.clients.customers import first_decisions, request_of
from simulators.clients.traffic import HttpService, TrafficConfig, run_traffic
from simulators.clients.visitors import Visit, visit
from simulators.logs.importing import import_campaign
from simulators.logs.logged import Log, write_log
from simulators.logs.served import read_served
from simulators.rollout import rollout
from simulators.world import SyntheticWorld


class Understanding:
    """A service in this process: knows users only by what it is asked and told."""

    def __init__(self, catalogue: Catalogue, policy: Policy, names: list[str]) -> None:
        self.catalogue, self.policy = catalogue, policy
        self.rules, self.encoding = Rules(catalogue), Encoding(catalogue)
        self.rows = {name: row for row, name in enumerate(names)}
        self.users = UserState.empty(catalogue, len(names), remembered=8)
        self.zones: dict[str, str] = {}
        self.batches: list[int] = []
        self.events: list[dict[str, Any]] = []

    async def decide(self, request: dict[str, Any]) -> Answer:
        name = request["user_id"]
        row, now = np.asarray([self.rows[name]]), np.asarray([parse_time(request["now"])], np.int32)
        self.zones[name] = request.get("time_zone") or self.zones[name]
        scene = np.asarray([self.catalogue.scene_index(request["scene"])], np.int16)
        moment = Moment(scene, now, utc_offset_seconds(self.zones[name], now))
        user = self.users.take(row)
        mask = self.rules.refusals(user, moment) == 0
        observations = self.encoding.encode(user, moment)
        chances = self.policy.probabilities(observations, mask)[0]
        action = self.catalogue.actions[int(np.argmax(chances))]
        if action.index:
            shown = Events.of(
                row, EventKind.CONTACTED, now, scene, action.channel, offer=action.offer
            )
            advance(self.users, shown)
        decision = f"{name}/{request['request_id']}"
        return Answer(decision, action.name, float(chances.max()), "test", False)

    async def tell(self, events: Sequence[dict[str, Any]]) -> None:
        self.batches.append(len(events))
        self.events.extend(events)
        for event in events:
            advance(self.users, self.understood(event))

    def understood(self, event: dict[str, Any]) -> Events:
        catalogue, told = self.catalogue, event.get("attributes", {})
        values = [
            attribute.number(told[attribute.name]) if attribute.name in told else np.nan
            for attribute in catalogue.attributes
        ]
        return Events.of(
            self.rows[event["user_id"]],
            EventKind[event["kind"].upper()],
            parse_time(event["time"]),
            catalogue.scene_index(event["scene"]) if "scene" in event else -1,
            catalogue.channel_index(event["channel"]) if "channel" in event else -1,
            catalogue.offer_index(event["offer"]) if "offer" in event else -1,
            event.get("amount_cents", 0),
            event.get("discount", 0.0),
            key=int.from_bytes(event["event_id"].encode()),
            attributes=np.asarray([values], np.float32) if told else None,
        )

    async def each(self, call: Callable[[Any], Awaitable[Any]], items: Iterable[Any]) -> list[Any]:
        return [await call(item) for item in items]


def lived(policy: str, users: int, days: float) -> tuple[SyntheticWorld, Understanding, Any]:
    world = SyntheticWorld(users, seed=4)
    names = [f"test-{user}" for user in range(users)]
    service = Understanding(world.catalogue, make_baseline(policy, world.catalogue), names)
    plan = Visit("test", days, lambda _: None)
    return world, service, asyncio.run(visit(world, np.arange(users), service, plan))


def test_what_is_told_rebuilds_the_users_of_the_world_bit_for_bit() -> None:
    world, service, _ = lived("rule_book", users=12, days=4.0)
    kinds = Counter(event["kind"] for event in service.events)
    assert kinds["described"] == 12
    assert kinds["clicked"] > 0
    assert kinds["bought"] > 0
    rebuilt = service.users
    for name in ("sums", "latest", "cap_times", "attributes", "opted_in_at", "opted_out_at"):
        np.testing.assert_array_equal(getattr(rebuilt, name), getattr(world.users, name), name)


def test_users_over_a_service_are_worth_what_the_same_users_are_worth_in_a_rollout() -> None:
    # A constant policy draws nothing, so service and rollout take the same actions.
    world, _, value = lived("constant:content/in_app", users=10, days=5.0)
    policy = make_baseline("constant:content/in_app", world.catalogue)
    trace = rollout(SyntheticWorld(10, seed=4), policy, np.arange(10), days=5.0)
    user = trace.column("user")
    np.testing.assert_array_equal(
        value.net_cents, np.bincount(user, weights=trace.column("net_cents"), minlength=10)
    )
    np.testing.assert_allclose(
        value.expected_cents, np.bincount(user, weights=trace.column("expected_cents"))
    )
    week = value.per_user_week(5.0)
    assert week["mean"] == pytest.approx(value.net_cents.mean() * 7 / 5)
    assert week["low"] < week["mean"] < week["high"]


def test_answers_to_a_contact_name_the_decision_that_they_answer() -> None:
    _, service, _ = lived("rule_book", users=12, days=4.0)
    answers = [event for event in service.events if event["kind"] in ("opened", "clicked")]
    assert answers
    assert all(event["decision_id"].startswith(event["user_id"] + "/") for event in answers)
    unprompted = [e for e in service.events if e["kind"] == "bought" and "offer" not in e]
    assert not any("decision_id" in event for event in unprompted)


class Listening(Understanding):
    """Is silent to everybody and only keeps what it is told."""

    async def decide(self, request: dict[str, Any]) -> Answer:
        return Answer("d", "silence", 1.0, "silence", False)

    async def tell(self, events: Sequence[dict[str, Any]]) -> None:
        self.batches.append(len(events))
        self.events.extend(events)


def test_no_call_tells_more_than_a_thousand_events_and_no_event_has_the_name_of_another() -> None:
    world = SyntheticWorld(1500, seed=4)
    service = Listening(world.catalogue, make_baseline("silence", world.catalogue), [])
    asyncio.run(visit(world, np.arange(1500), service, Visit("test", 1.0, lambda _: None)))
    assert max(service.batches) <= 1000
    assert service.batches[0] == 1000, "the introductions of 1,500 users fill more than one call"
    names = [(event["user_id"], event["event_id"]) for event in service.events]
    assert len(set(names)) == len(names)


class Moody:
    """A service over real HTTP that fails now and then, as real ones do when they restart."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.failures = 0
        self.degraded_before = 1
        """Number of the first answer to a request that is not degraded."""
        routes = [
            Route("/healthz", lambda _: Response()),
            Route("/v1/offers", self.offers, methods=["POST"]),
            Route("/v1/events", self.events, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    async def offers(self, request: Request) -> Response:
        body = json.loads(await request.body())
        key = (body["user_id"], body["request_id"])
        self.seen[key] += 1
        if self.status != 200:
            return JSONResponse({"error": {"code": "unknown_scene"}}, self.status)
        if len(self.seen) % 5 == 0 and self.seen[key] == 1:
            self.failures += 1
            return Response(status_code=503)
        self.requests.append(body)
        action = "mens/email" if body.get("attributes", {}).get("mens") else "silence"
        answer = {"decision_id": "/".join(key), "action": action, "propensity": 1.0}
        if self.seen[key] < self.degraded_before:
            return JSONResponse(answer | {"action": "silence", "policy": "moody", "degraded": True})
        return JSONResponse(answer | {"policy": "moody", "degraded": False})

    async def events(self, request: Request) -> Response:
        events = json.loads(await request.body())["events"]
        return JSONResponse({"accepted": len(events), "repeated": 0})


@pytest.fixture
def moody() -> Iterator[tuple[Moody, str]]:
    service = Moody()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(service.app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield service, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    rows = "\n".join(
        f"{1 + i % 12},1) x,{30.5 + i},{i % 2},1,Urban,0,Web,Mens E-Mail,{i % 3 // 2},0,0"
        for i in range(40)
    )
    (tmp_path / "table.csv").write_text(
        "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,"
        f"conversion,spend\n{rows}\n"
    )
    mapping = Path("simulators/logs/campaigns/hillstrom_mapping.yaml")
    return import_campaign(mapping, tmp_path / "table.csv")


def test_customers_of_a_log_are_sent_once_each_and_failures_are_asked_again(
    moody: tuple[Moody, str], log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service, url = moody
    write_log(log, tmp_path / "log.parquet")
    config = TrafficConfig(
        url,
        log=tmp_path / "log.parquet",
        connections=4,
        label="shop",
        out=tmp_path / "served.parquet",
        json=True,
    )
    run_traffic(config)
    result = json.loads(capsys.readouterr().out)
    served = read_served(tmp_path / "served.parquet")
    assert service.failures == 8
    assert (result["requests"], result["errors"], result["retries"]) == (40, 0, 8)
    assert result["served"] == {"mens/email": 20, "silence": 20}
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    np.testing.assert_array_equal(served.user_ids, log.user_ids)
    np.testing.assert_array_equal(served.times, log.times)
    np.testing.assert_array_equal(served.actions == "mens/email", log.attributes[:, 2] == 1)
    first = next(body for body in service.requests if body["user_id"] == "shop-customer-1")
    assert first == {
        "request_id": "hillstrom-1",
        "user_id": "shop-customer-1",
        "scene": "campaign",
        "now": "2008-03-20T12:00:00Z",
        "attributes": {
            "recency": 1.0,
            "history": 30.5,
            "mens": 0.0,
            "womens": 1.0,
            "zip_code": "urban",
            "newbie": 0.0,
            "channel": "web",
        },
    }


@pytest.mark.parametrize(("first_good", "left"), [(3, 0), (99, 40)])
def test_degraded_answers_are_asked_for_again_until_patience_ends(
    moody: tuple[Moody, str], log: Log, tmp_path: Path, first_good: int, left: int
) -> None:
    service, url = moody
    service.degraded_before = first_good
    write_log(log, tmp_path / "log.parquet")
    out = tmp_path / "served.parquet"
    run_traffic(TrafficConfig(url, log=tmp_path / "log.parquet", out=out))
    served = read_served(out)
    assert served.degraded.sum() == left
    assert len(served) == len(log)


def test_only_the_first_decision_of_a_user_is_sent(log: Log) -> None:
    users = log.user_ids.copy()
    users[1::2] = users[::2]
    times = log.times - np.arange(len(log), dtype=np.int32)
    twice = log.take(np.arange(len(log)))
    twice.user_ids[:], twice.times[:] = users, times
    np.testing.assert_array_equal(first_decisions(twice), np.arange(1, len(log), 2))


def test_attributes_that_are_not_known_are_not_sent(log: Log) -> None:
    log.attributes[0, 1:] = np.nan
    assert request_of(log, 0, "shop")["attributes"] == {"recency": 1.0}


def test_a_request_that_the_service_calls_wrong_ends_the_traffic_with_its_answer(
    moody: tuple[Moody, str], log: Log, tmp_path: Path
) -> None:
    service, url = moody
    service.status = 422
    write_log(log, tmp_path / "log.parquet")
    with pytest.raises(InputError, match=r"/v1/offers answers 422: .*unknown_scene"):
        run_traffic(TrafficConfig(url, log=tmp_path / "log.parquet"))


def test_a_service_that_stays_broken_is_counted_and_not_waited_for(
    moody: tuple[Moody, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, url = moody
    service.status = 503
    monkeypatch.setattr("simulators.clients.traffic.BACKOFF_S", 0.0)

    async def ask() -> tuple[object, HttpService]:
        async with HttpService(TrafficConfig(url)) as http:
            answer = await http.decide({"user_id": "u", "request_id": "r"})
            return answer, http

    answer, http = asyncio.run(ask())
    assert answer is None
    assert (http.counts.errors, http.counts.retries) == (1, 5)


def test_a_connection_that_breaks_is_answered_on_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.clients.traffic.BACKOFF_S", 0.0)
    answer = {"decision_id": "d", "action": "silence", "propensity": 1, "policy": "p"}
    body = json.dumps(answer | {"degraded": False}).encode()
    heads: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        if len(heads) != 2:  # the first is the probe, the second breaks
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n")
            writer.write(b"content-length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    async def ask() -> tuple[Answer | None, int]:
        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with HttpService(TrafficConfig(f"http://127.0.0.1:{port}")) as http:
                return await http.decide({"user_id": "u", "request_id": "r"}), http.counts.retries

    assert asyncio.run(ask()) == (Answer("d", "silence", 1.0, "p", False), 1)
    assert [head.split(b" ")[1] for head in heads] == [b"/healthz", b"/v1/offers", b"/v1/offers"]


@pytest.mark.slow
def test_world_traffic_over_http_writes_every_users_value(
    moody: tuple[Moody, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, url = moody
    out = tmp_path / "traffic.json"
    run_traffic(TrafficConfig(url, users=6, first_user=3, days=2.0, seed=4, out=out))
    result = json.loads(out.read_text())
    assert "net value per user-week" in capsys.readouterr().out
    assert result["user_ids"] == [3, 4, 5, 6, 7, 8]
    assert result["errors"] == 0
    policy = make_baseline("silence", load_catalogue())
    trace = rollout(SyntheticWorld(6, seed=4), policy, np.arange(3, 9), days=2.0)
    sums = np.bincount(trace.column("user"), weights=trace.column("net_cents"))[3:]
    np.testing.assert_array_equal(result["net_cents"], sums)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "ftp://127.0.0.1"])
def test_an_address_where_nobody_answers_says_what_to_start(url: str) -> None:
    with pytest.raises(InputError, match=f"{url}"):
        run_traffic(TrafficConfig(url, users=1, days=1.0))
