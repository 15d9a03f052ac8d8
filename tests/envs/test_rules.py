"""Rules: what they allow, and that each names itself when it refuses."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.catalogue import DEFAULT_CATALOGUE, Catalogue, load_catalogue, parse_catalogue
from envs.clock import DAY, HOUR, to_seconds
from envs.decisions import EventKind, Events, Moment
from envs.rules import FIXED, Rules, reserve_cents
from envs.users import UserState, advance

CATALOGUE = load_catalogue()
RULES = Rules(CATALOGUE)
NOON = to_seconds(datetime(2025, 1, 6, 12, tzinfo=UTC))


def at(scene: str, now: int = NOON, offset_hours: float = 0.0, n: int = 1) -> Moment:
    return Moment(
        np.full(n, CATALOGUE.scene_index(scene), np.int16),
        np.full(n, now, np.int32),
        np.full(n, int(offset_hours * HOUR), np.int32),
    )


def contact(users: UserState, time: int, scene: str, action: str) -> None:
    chosen = CATALOGUE.actions[CATALOGUE.action_index(action)]
    scene_index = CATALOGUE.scene_index(scene)
    advance(
        users, Events.of([0], EventKind.CONTACTED, time, scene_index, chosen.channel, chosen.offer)
    )


def reasons(users: UserState, moment: Moment, action: str, **given: float) -> tuple[str, ...]:
    refused = RULES.refusals(users, moment, **given)
    assert np.array_equal(RULES.refused(users, moment, **given), refused != 0)
    return RULES.explain(int(refused[0, CATALOGUE.action_index(action)]))


def test_silence_is_always_allowed() -> None:
    users = UserState.empty(CATALOGUE, 1)
    advance(users, Events.of([0], EventKind.OPTED_OUT, NOON))
    assert RULES.refusals(users, at("night"), budget_left_cents=0.0)[0, 0] == 0


@pytest.mark.parametrize(
    ("utc_hour", "offset_hours", "quiet"),
    [
        (21, 0, False),
        (22, 0, True),
        (7, 0, True),
        (8, 0, False),
        (0, 0, True),
        (12, 10, True),
        (12, 9.75, False),
        (22, -8, False),
        (2, -3.5, True),
    ],
)
def test_quiet_hours_wrap_past_midnight_in_the_users_time(
    utc_hour: int, offset_hours: float, quiet: bool
) -> None:
    moment = at("work", NOON + (utc_hour - 12) * HOUR, offset_hours)
    found = reasons(UserState.empty(CATALOGUE, 1), moment, "content/push")
    assert found == (("quiet_hours",) if quiet else ())


def test_a_channel_exists_only_in_its_scenes() -> None:
    users = UserState.empty(CATALOGUE, 1)
    assert reasons(users, at("work"), "gift/mini_program") == ("channel_absent",)
    assert reasons(users, at("mall"), "gift/mini_program") == ()


def test_consent_is_asked_where_the_channel_requires_it() -> None:
    users = UserState.empty(CATALOGUE, 1)
    assert reasons(users, at("mall"), "gift/sms") == ("no_consent",)
    advance(users, Events.of([0], EventKind.OPTED_IN, NOON, channel=1))
    assert reasons(users, at("mall"), "gift/sms") == ()


def test_not_interested_rests_the_offer_for_its_cool_down() -> None:
    users = UserState.empty(CATALOGUE, 1)
    gift = CATALOGUE.offer_index("gift")
    advance(users, Events.of([0], EventKind.NOT_INTERESTED, NOON, offer=gift))
    last = NOON + CATALOGUE.cool_down_days * DAY
    assert reasons(users, at("mall", last - 1), "gift/push") == ("not_interested",)
    assert reasons(users, at("mall", last), "gift/push") == ()
    assert reasons(users, at("mall", last - 1), "content/push") == ()


def test_a_push_a_scene_in_24_hours() -> None:
    users = UserState.empty(CATALOGUE, 1)
    contact(users, NOON, "mall", "content/push")
    late = NOON + 24 * HOUR
    assert reasons(users, at("mall", late - 1), "gift/push") == ("cap:push_a_scene",)
    assert reasons(users, at("work", late - 1), "gift/push") == ()
    assert reasons(users, at("mall", late - 1), "gift/email") == ()
    assert reasons(users, at("mall", late), "gift/push") == ()


def test_two_contacts_a_calendar_day_of_the_user() -> None:
    users = UserState.empty(CATALOGUE, 1)
    contact(users, NOON, "mall", "content/email")
    contact(users, NOON + HOUR, "work", "content/in_app")
    local_evening = at("lunch", NOON + 9 * HOUR, offset_hours=2)  # 23:00 there
    local_morning = at("lunch", NOON + 10 * HOUR, offset_hours=2)  # midnight there
    assert reasons(users, local_evening, "gift/email") == ("cap:two_a_day",)
    assert reasons(users, local_morning, "gift/email") == ()


def test_every_reason_is_named() -> None:
    users = UserState.empty(CATALOGUE, 1)
    advance(users, Events.of([0], EventKind.OPTED_OUT, NOON, channel=0))
    found = reasons(users, at("work", NOON + 11 * HOUR), "gift/push", budget_left_cents=100.0)
    assert set(found) == {"no_consent", "quiet_hours", "budget"}


def test_budget_left_refuses_what_it_cannot_pay() -> None:
    users = UserState.empty(CATALOGUE, 2)
    left = np.asarray([150.0, 149.0])
    refused = RULES.refusals(users, at("mall", n=2), left)
    gift, content = CATALOGUE.action_index("gift/push"), CATALOGUE.action_index("content/push")
    assert refused[0, gift] == 0
    assert RULES.explain(int(refused[1, gift])) == ("budget",)
    assert refused[:, content].tolist() == [0, 0]
    assert reserve_cents(CATALOGUE)[gift] == 150.0


def test_the_margin_floor_refuses_a_deep_discount() -> None:
    text = DEFAULT_CATALOGUE.read_text()
    strict = parse_catalogue(text.replace("margin_floor: 0.05", "margin_floor: 0.10"))
    refused = Rules(strict).refusals(UserState.empty(strict, 1), at("mall"))
    assert RULES.explain(int(refused[0, strict.action_index("off30/push")])) == ("margin_floor",)
    assert refused[0, strict.action_index("off20/push")] == 0


def test_the_caller_may_exclude_offers_and_channels() -> None:
    out = RULES.excluded(("gift",), ("sms",))
    named = {a.name for a in CATALOGUE.actions if out[a.index]}
    assert named == {a.name for a in CATALOGUE.actions if "gift" in a.name or "sms" in a.name}
    with pytest.raises(KeyError, match="tv"):
        RULES.excluded((), ("tv",))


def _by_hand(
    catalogue: Catalogue, contacts: list[tuple[int, int, int]], moment: Moment
) -> set[str]:
    """Names of actions that a cap refuses, counted from the whole history of contacts."""
    now, scene = int(moment.now[0]), int(moment.scene[0])
    refused = set()
    for action in catalogue.actions[1:]:
        for cap in catalogue.caps:
            start = now - cap.hours * HOUR if cap.hours else now - now % DAY - 1
            inside = 0
            for time, past_scene, past_action in contacts:
                past = catalogue.actions[past_action]
                inside += (
                    time > start
                    and (
                        cap.channel is None or catalogue.channels[past.channel].name == cap.channel
                    )
                    and (cap.offer is None or catalogue.offers[past.offer].name == cap.offer)
                    and ("scene" not in cap.per or past_scene == scene)
                    and ("channel" not in cap.per or past.channel == action.channel)
                    and ("offer" not in cap.per or past.offer == action.offer)
                )
            speaks = cap.channel in (
                None,
                catalogue.channels[action.channel].name,
            ) and cap.offer in (None, catalogue.offers[action.offer].name)
            if speaks and inside >= cap.limit:
                refused.add(action.name)
    return refused


PAIRED = DEFAULT_CATALOGUE.read_text().replace(
    "caps:\n",
    "caps:\n  - {name: pair, limit: 3, hours: 90, per: [scene, channel, offer]}\n"
    "  - {name: each_channel, limit: 2, hours: 20, per: [channel]}\n",
)


@pytest.mark.parametrize(
    "catalogue", [CATALOGUE, parse_catalogue(PAIRED)], ids=["default", "paired"]
)
@settings(max_examples=60, deadline=None)
@given(
    contacts=st.lists(
        st.tuples(st.integers(0, 9 * DAY), st.integers(0, 2), st.integers(1, 30)), max_size=14
    ),
    ago=st.integers(0, 2 * DAY),
)
def test_caps_are_exactly_those_counted_from_the_whole_history(
    catalogue: Catalogue, contacts: list[tuple[int, int, int]], ago: int
) -> None:
    rules, users = Rules(catalogue), UserState.empty(catalogue, 1)
    history = [(NOON + time, scene, action) for time, scene, action in contacts]
    for time, scene, action in history:
        chosen = catalogue.actions[action]
        advance(
            users, Events.of([0], EventKind.CONTACTED, time, scene, chosen.channel, chosen.offer)
        )
    now = np.asarray([NOON + 9 * DAY + ago], np.int32)
    moment = Moment(np.zeros(1, np.int16), now, np.zeros(1, np.int32))
    refusals = rules.refusals(users, moment)
    assert np.array_equal(rules.refused(users, moment), refusals != 0)
    caps = refusals[0] >> len(FIXED)
    refused = {action.name for action in catalogue.actions if caps[action.index]}
    assert refused == _by_hand(catalogue, history, moment)
