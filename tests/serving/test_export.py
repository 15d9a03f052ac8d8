"""Export and links over real HTTP on a real Redis: everything that is kept, under every name."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving.live import NOON
from tests.serving.test_erasure import link
from tests.serving.test_events import event


def export(live, user_id="u1"):
    answer = live.client.get(f"/v1/users/{user_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.promise("export")
def test_everything_that_is_kept_is_told_in_words(live):
    live.tell(
        event(1, "bought", minute=3, amount_cents=5_900),
        event(2, "opted_out", minute=4, channel="email"),
        event(3, "not_interested", minute=5, offer="gift"),
        event(4, "viewed", minute=6, attributes={"member_tier": "gold", "past_spend_cents": 7}),
        event(5, "viewed", minute=7, time_zone="Europe/Berlin"),
    )
    told = export(live)
    assert (told["identities"], told["time_zone"]) == (0, "Europe/Berlin")
    state = told["state"]
    assert set(state["sums"]) == {"viewed", "bought", "spend"}
    assert state["latest"] == {
        "event": "2025-03-03T12:07:00Z",
        "viewed": "2025-03-03T12:07:00Z",
        "bought": "2025-03-03T12:03:00Z",
    }
    assert state["consents"]["email"] == {
        "allowed": False,
        "opted_in_at": None,
        "opted_out_at": "2025-03-03T12:04:00Z",
    }
    assert state["consents"]["push"] == {"allowed": True, "opted_in_at": None, "opted_out_at": None}
    assert state["not_interested"] == {"gift": "2025-03-03T12:05:00Z"}
    assert state["attributes"] == {
        "member_tier": {"value": "gold", "told_at": "2025-03-03T12:06:00Z"},
        "past_spend_cents": {"value": 7.0, "told_at": "2025-03-03T12:06:00Z"},
    }
    assert state["remembered_events"] == 5


def test_decisions_are_told_with_what_came_of_them_and_with_the_caps_they_use(live):
    offers = ["off5", "off10", "off20", "off30", "gift"]
    channels = ["sms", "email", "in_app", "mini_program"]
    asked = {"exclude_offers": offers, "exclude_channels": channels}
    push = None
    for number in range(40):  # uniform: content by push, or silence
        decision = live.offer(f"r{number}", scene="mall", **asked)
        push = decision if decision["offer"] else push
    assert push, "silence 40 times"
    place = push["decision_id"]
    live.tell(event(1, "clicked", minute=9, channel="push", decision_id=place))
    told = export(live)
    mine = next(each for each in told["decisions"] if each["decision_id"] == place)
    assert (mine["time"], mine["scene"], mine["action"]) == (NOON, "mall", "content/push")
    assert mine["propensity"] == push["propensity"]
    assert (mine["policy"], mine["state"]) == ("uniform", "decided")
    assert [each["kind"] for each in mine["events"]] == ["clicked"]
    assert len(told["decisions"]) == 40
    caps = {each["cap"]: each for each in told["state"]["caps"]}
    assert caps["push_a_scene"] == {
        "cap": "push_a_scene",
        "scene": "mall",
        "channel": "push",
        "offer": None,
        "limit": 1,
        "used": 0,  # it is long past
        "contacts": [NOON],
    }
    assert caps["two_a_day"]["contacts"] == [NOON]


def test_a_person_is_told_whole_under_any_name(live):
    live.offer("r1", user_id="u1")
    live.offer("r2", user_id="d1")
    live.tell(event(1, user="u1"), event(2, user="d1"))
    assert link(live, "u1", "d1", "d1", "u1") == {"linked": 1, "already": 1}
    live.tell(event(3, user="d1"))
    told = export(live, "d1")
    as_of = told["state"].pop("as_of"), told["state"].pop("sums")
    assert told["identities"] == 1
    assert told["state"]["remembered_events"] == 3
    assert len(told["decisions"]) == 2
    again = export(live, "u1")
    assert as_of[0] <= again["state"].pop("as_of")
    again["state"].pop("sums")
    assert again == told


@pytest.mark.promise("identities")
def test_caps_follow_the_person(live):
    one = {"exclude_offers": ["off5", "off10", "off20", "off30", "gift"]}
    one |= {"exclude_channels": ["push", "email", "in_app", "mini_program"]}
    for user_id in ("u1", "d1"):
        live.tell(event(1, "opted_in", user=user_id, channel="sms"))
    for number in range(40):
        live.offer(f"r{number}", user_id="d1", **one)
    assert live.offer("after", user_id="d1", **one)["refused"]["cap:sms_a_week"] == 6
    assert "cap:sms_a_week" not in live.offer("before", user_id="u1", **one)["refused"]
    link(live, "u1", "d1")
    assert live.offer("since", user_id="u1", **one)["refused"]["cap:sms_a_week"] == 6


@pytest.mark.slow
def test_decisions_over_http_while_linking_keep_the_caps_of_the_person(live):
    only_mail = {"exclude_channels": ["push", "sms", "in_app", "mini_program"]}
    names = ["u1", "d1", "d2"]
    linked = threading.Event()

    def mails(name, number):
        """Whether there is one, and whether it was asked for once linked."""
        sure = linked.is_set()
        sent = live.offer(f"{name} {number}", user_id=name, **only_mail)["channel"] == "email"
        return sent, sent and sure

    def live_on(name):
        return [mails(name, number) for number in range(40)]

    with ThreadPoolExecutor(6) as pool:
        lives = [pool.submit(live_on, name) for name in names]
        link(live, *names)
        linked.set()
        sent = [each for life in lives for each in life.result()]
    contacts = export(live)["state"]["caps"]
    mail = next(each for each in contacts if each["cap"] == "email_a_week")
    total, since = (sum(counts) for counts in zip(*sent, strict=True))
    assert len(mail["contacts"]) == min(3, total)
    assert since == 0 or total <= 2  # two a day, whoever was contacted
    assert live.offer("after", user_id="d2", **only_mail)["refused"]["cap:two_a_day"]
    with ThreadPoolExecutor(6) as pool:
        assert not any(pool.map(lambda n: mails(names[n % 3], f"again {n}")[0], range(60)))


def test_somebody_of_whom_nothing_is_kept_is_unknown(live):
    error = refused(live.client.get("/v1/users/nobody"), 404)
    assert (error["code"], error["field"]) == ("unknown_user", "user_id")


def test_a_name_of_somebody_else_is_refused_and_nothing_is_linked(live):
    link(live, "u1", "d1")
    body = {"user_id": "u2", "identities": ["d2", "d1"]}
    error = refused(live.client.post("/v1/users:link", json=body), 409)
    assert (error["code"], error["field"]) == ("linked_elsewhere", "identities.1")
    refused(live.client.get("/v1/users/d2"), 404)
    assert link(live, "u2", "u1") == {"linked": 1, "already": 0}
    assert link(live, "u2", "d1") == {"linked": 0, "already": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user_id": "u1"}, "identities"),
        ({"user_id": "u1", "identities": []}, "identities"),
        ({"user_id": "u1", "identities": [""]}, "identities.0"),
        ({"user_id": "", "identities": ["d1"]}, "user_id"),
        ({"user_id": "u1", "identities": [str(k) for k in range(17)]}, "identities"),
        ({"user_id": "u1", "identities": ["d1"], "force": True}, "force"),
    ],
)
def test_a_link_of_another_shape_is_refused(live, body, field):
    assert refused(live.client.post("/v1/users:link", json=body), 422)["field"] == field
