"""What is kept of people ends by itself."""

import pytest

from serving.security import user_of
from tests.serving.live import NOON

DAY_S = 86_400


def lived(service):
    """Let a service do with a user whatever leaves something in Redis."""
    decided = service.offer("r1", "u1", time_zone="UTC")
    service.offer("r2", "u1", defer=True)
    service.tell(
        {"event_id": "e1", "user_id": "u1", "kind": "viewed", "time": NOON}
        | {"decision_id": decided["decision_id"]}
    )
    link = {"user_id": "u1", "identities": ["device"]}
    assert service.client.post("/v1/users:link", json=link).status_code == 200
    door = "/personalizer/v1.0"
    for context in ([{"user_id": "u1"}], []):
        body = {"actions": [{"id": "off5/email"}, {"id": "silence"}], "contextFeatures": context}
        answer = service.client.post(f"{door}/rank", json=body)
        assert answer.status_code == 201
        event = answer.json()["eventId"]
        reward = service.client.post(f"{door}/events/{event}/reward", json={"value": 1})
        assert reward.status_code == 204
    return user_of(decided["decision_id"])


@pytest.mark.promise("forgets-by-itself")
def test_every_key_about_somebody_has_an_end_after_which_redis_forgets_it(live, redis_client):
    """But the journal's streams, which its writer empties, and the list of who waits."""
    user = lived(live)
    settings = live.service.settings
    kinds = set()
    for key in redis_client.scan_iter("sl:{b*"):
        kind = key.decode().split(":")[3]
        kinds.add(kind)
        if kind in ("j", "w"):
            continue
        seconds = redis_client.ttl(key)
        longest = settings.user_days if kind in ("u", "k", "m") else settings.decision_days
        assert 0 < seconds <= longest * DAY_S, key
    assert {"u", "d", "i", "k", "o", "n", "j"} <= kinds
    assert redis_client.ttl(live.service.store.space.user(user)) > settings.decision_days * DAY_S


@pytest.mark.promise("forgets-by-itself")
@pytest.mark.parametrize("deferred", [False, True])
def test_a_stranger_is_forgotten_with_the_event(live, redis_client, deferred):
    door = "/personalizer/v1.0"
    body = {"actions": [{"id": "off5/email"}], "eventId": "e1", "deferActivation": deferred}
    assert live.client.post(f"{door}/rank", json=body).status_code == 201
    assert live.client.post(f"{door}/events/e1/activate").status_code == 204
    (user,) = redis_client.scan_iter("sl:*:u:*")
    assert redis_client.ttl(user) <= live.service.settings.decision_days * DAY_S
