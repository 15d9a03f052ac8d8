"""The service and the environment hold the same user and pose the same problem, bit for bit."""

import numpy as np
import pytest

from envs.clock import HOUR, parse_time, to_datetime
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.rules import Rules
from envs.users import UserState, advance
from serving.store.records import DecisionRecord
from serving.words.bodies import ReportedKind

USERS = 3
STEPS = 25
START = parse_time("2025-03-03T06:00:00Z")
KINDS = [kind for kind in ReportedKind if kind is not ReportedKind.DESCRIBED]


def random_event(rng, catalogue, user, number, after):
    """An event as an application reports it, shortly after ``after``."""

    def some(parts):
        return rng.choice([part.name for part in parts]) if rng.random() < 0.7 else None

    kind = ReportedKind(rng.choice([kind.value for kind in KINDS]))
    body = {
        "event_id": f"e{number}",
        "user_id": f"u{user}",
        "kind": kind.value,
        "time": to_datetime(after + int(rng.integers(-HOUR, HOUR))).isoformat(),
        "scene": some(catalogue.scenes),
        "channel": some(catalogue.channels),
        "offer": some(catalogue.offers),
        "amount_cents": int(rng.integers(100, 9000)),
        "discount": float(np.float32(rng.choice([0.0, 0.1, 0.3]))),
    }
    return {name: value for name, value in body.items() if value is not None}


def as_events(catalogue, row, body):
    """The same event for the environment."""
    return Events.of(
        row=row,
        kind=EventKind[body["kind"].upper()],
        time=parse_time(body["time"]),
        scene=catalogue.scene_index(body["scene"]) if "scene" in body else -1,
        channel=catalogue.channel_index(body["channel"]) if "channel" in body else -1,
        offer=catalogue.offer_index(body["offer"]) if "offer" in body else -1,
        amount_cents=body["amount_cents"],
        discount=body["discount"],
    )


def seen_by_service(redis_client, catalogue, decision_id):
    """Observation and mask of a decision, as the journal was told them."""
    for stream in redis_client.scan_iter("sl:*:j"):
        for _, entry in redis_client.xrange(stream):
            if b"d" not in entry:
                continue
            record = DecisionRecord.read(entry[b"d"])
            if record.decision_id == decision_id:
                bits = np.frombuffer(record.mask, np.uint8)
                mask = np.unpackbits(bits, count=len(catalogue.actions)).astype(bool)
                return np.frombuffer(record.observation, np.float32), mask
    raise AssertionError("the journal was not told of the decision")


@pytest.mark.promise("same-world")
def test_one_history_gives_the_same_observation_and_mask_in_both_worlds(
    live, redis_client, catalogue
):
    rng = np.random.default_rng(7)
    rules, encoding = Rules(catalogue), Encoding(catalogue)
    users = UserState.empty(catalogue, USERS)
    contacts = 0
    for step in range(STEPS):
        now = START + step * 5 * HOUR
        scenes = rng.integers(0, len(catalogue.scenes), USERS)
        moment = Moment(
            scenes.astype(np.int16), np.full(USERS, now, np.int32), np.zeros(USERS, np.int32)
        )
        if step % 5 == 2:  # attributes told with the request
            told = np.full((USERS, len(catalogue.attributes)), np.nan, np.float32)
            told[:, 0] = step % 3
            kind = EventKind.DESCRIBED
            advance(users, Events.of(np.arange(USERS), kind, now, attributes=told))
        observations = encoding.encode(users, moment)
        mask = rules.refusals(users, moment) == 0
        actions = np.zeros(USERS, np.int64)
        for user in range(USERS):
            more = {"attributes": {"member_tier": ["none", "silver", "gold"][step % 3]}}
            answer = live.offer(
                f"r{step}",
                f"u{user}",
                catalogue.scenes[scenes[user]].name,
                to_datetime(now).isoformat(),
                **(more if step % 5 == 2 else {}),
            )
            actions[user] = catalogue.action_index(answer["action"])
            seen, allowed = seen_by_service(redis_client, catalogue, answer["decision_id"])
            assert seen.tobytes() == observations[user].tobytes(), (step, user)
            assert (allowed == mask[user]).all(), (step, user)
        contacts += np.count_nonzero(actions)
        advance(users, live.service.policies.serving.contacts(moment, actions))
        bodies = [
            random_event(rng, catalogue, user, f"{step}-{user}-{number}", now)
            for user in range(USERS)
            for number in range(int(rng.integers(0, 5)))
        ]
        if bodies:
            live.tell(*bodies)
            for body in bodies:
                advance(users, as_events(catalogue, int(body["user_id"][1:]), body))
    assert contacts > STEPS / 2, "the history has to hold contacts"
