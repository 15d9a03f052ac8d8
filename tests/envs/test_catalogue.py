"""The catalogue file: what it gives, and how it refuses."""

from pathlib import Path

import pytest

from envs.catalogue import DEFAULT_CATALOGUE, load_catalogue, parse_catalogue
from envs.errors import CatalogueError

TEXT = DEFAULT_CATALOGUE.read_text()


def test_the_default_has_silence_and_thirty_pairs() -> None:
    catalogue = load_catalogue()
    assert len(catalogue.actions) == 31
    assert len(catalogue.scenes) >= 10
    assert [channel.name for channel in catalogue.channels] == [
        "push",
        "sms",
        "email",
        "in_app",
        "mini_program",
    ]
    assert catalogue.actions[0].name == "silence"
    assert catalogue.action_offer[0] == catalogue.action_channel[0] == -1
    action = catalogue.actions[catalogue.action_index("off10/sms")]
    assert catalogue.offers[action.offer].discount == 0.10
    assert catalogue.channels[action.channel].name == "sms"


def test_the_hash_changes_with_content_and_not_with_comments() -> None:
    catalogue = parse_catalogue(TEXT)
    assert parse_catalogue(TEXT + "\n# a comment\n").hash == catalogue.hash
    assert parse_catalogue(TEXT.replace("margin: 0.35", "margin: 0.36")).hash != catalogue.hash


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("name: off10,", "name: off5,", "offers.2.name", "off5"),
        ("cost_cents: 6", "cost_cents: -6", "channels.1.cost_cents", "-6"),
        ("cost_cents: 150, title", "cost_cents: 1.5, title", "offers.5.cost_cents", "1.5"),
        (
            "  - {name: content, kind: content,",
            "  - {name: content, kind: content, channels: [tv],",
            "offers.0.channels",
            "tv",
        ),
        (
            "[commute, lunch, dining, mall, supermarket, gym, travel_planning, home_evening]",
            "[]",
            "channels.4.scenes",
            "mini_program",
        ),
        ("category: home", "category: toys", "offers.3.category", "toys"),
        ("[everyday, home]", "[home, home]", "categories.1", "home"),
        ("quiet: [22, 8]", "quiet: [22, 24]", "channels.0.quiet.1", "24"),
        ("quiet: [22, 8]", "quiet: [22, 22]", "channels.0.quiet", "22"),
        ("discount: 0.30", "discount: .nan", "offers.4.discount", "nan"),
        ("limit: 2, days: 1", "limit: 2", "caps.0", ""),
        ("margin: 0.35", "margins: 0.35", "margin", ""),
        (
            "name: member_tier, kind: choice, values: [none, silver, gold]",
            "name: member_tier, kind: choice",
            "attributes.0",
            "",
        ),
    ],
)
def test_a_wrong_catalogue_names_file_line_field_and_value(
    tmp_path: Path, old: str, new: str, field: str, value: str
) -> None:
    assert old in TEXT
    path = tmp_path / "shop.yaml"
    path.write_text(TEXT.replace(old, new, 1))
    expected_line = TEXT[: TEXT.index(old)].count("\n") + 1
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    line = int(message.removeprefix(f"{path}:").split(":")[0])
    if value:
        assert line == expected_line
    assert f": {field}: " in message
    assert value in message
    assert "\n" not in message


def test_a_channel_without_any_offer_is_refused() -> None:
    text = TEXT.replace("kind: content,", "kind: content, channels: [push],")
    for kind in ("discount", "gift"):
        text = text.replace(f"kind: {kind},", f"kind: {kind}, channels: [push],")
    with pytest.raises(CatalogueError, match="nobody can use it"):
        parse_catalogue(text)


@pytest.mark.parametrize(
    "text", ["", "[", "a: [b", "- 1", "null", "x: !!python/object:os.system 1", "a: *b"]
)
def test_what_is_no_catalogue_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(text, "shop.yaml")
    assert str(caught.value).startswith("shop.yaml:")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        load_catalogue(tmp_path / "none.yaml")


def test_attributes_say_what_they_take() -> None:
    tier, spend = load_catalogue().attributes[:2]
    assert tier.number("gold") == 2.0
    assert spend.number(1000) == 1000.0
    for attribute, wrong in (
        (tier, "platinum"),
        (spend, -1),
        (spend, float("nan")),
        (spend, "9"),
        (spend, True),
    ):
        with pytest.raises(ValueError, match=attribute.name):
            attribute.number(wrong)
