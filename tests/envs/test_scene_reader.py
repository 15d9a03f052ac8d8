"""Naive Bayes over signals and clock: the chances are the textbook's, and files are checked."""

import json
from math import prod

import numpy as np
import pytest

from envs.errors import InputError
from envs.scene_reader import HOURS, SceneCounts, SceneReader, save_counts

SCENES = ("home", "office", "street")
COUNTS = SceneCounts(
    scenes=SCENES,
    hours=tuple((hour % 7, 3, hour // 24) for hour in range(HOURS)),
    signals={
        "motion": {"still": (40, 30, 2), "walking": (5, 6, 50)},
        "network": {"wifi": (44, 33, 4), "cellular": (1, 3, 47)},
    },
)


def by_hand(told, hour):
    """The chances as Bayes' rule gives them, with one more of everything."""
    chances = []
    for s in range(len(SCENES)):
        prior = COUNTS.hours[hour][s] + 1
        likely = [
            (COUNTS.signals[signal][word][s] + 1)
            / sum(counts[s] + 1 for counts in COUNTS.signals[signal].values())
            for signal, word in told.items()
        ]
        chances.append(prior * prod(likely))
    return np.asarray(chances) / sum(chances)


@pytest.mark.parametrize(
    "told", [{}, {"motion": "walking"}, {"motion": "still", "network": "wifi"}]
)
@pytest.mark.parametrize("hour", [0, 55, 167])
def test_the_chances_are_those_of_bayes(told, hour):
    reader = SceneReader.of(COUNTS)
    evidence = np.stack([reader.evidence(told), reader.evidence({})])
    chances = reader.chances(evidence, np.asarray([hour, 3]))
    np.testing.assert_allclose(chances[0], by_hand(told, hour), rtol=1e-12)
    np.testing.assert_allclose(chances[1], by_hand({}, 3), rtol=1e-12)


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "scenes.json"
    save_counts(path, COUNTS)
    reader = SceneReader.parse(path.read_text(), str(path), SCENES)
    assert np.array_equal(reader.clock, SceneReader.of(COUNTS).clock)
    assert [each.name for each in path.parent.iterdir()] == ["scenes.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scenes": ["home"]}, "the catalogue has home, office, street"),
        ({"hours": [[1, 2, 3]]}, "168 hours"),
        ({"signals": {"motion": {"still": [1, 2]}}}, "one a scene"),
        ({"signals": {"motion": {"still": [1, 2, -3]}}}, "signals.motion.still.2"),
        ({"kind": "policy"}, "kind"),
        ({"more": 1}, "more"),
    ],
)
def test_another_file_is_refused_by_name_and_field(change, said):
    text = json.dumps(COUNTS.model_dump() | change)
    with pytest.raises(InputError, match=f"(?s)scene.*{said}"):
        SceneReader.parse(text, "scenes.json", SCENES)


def test_what_is_no_json_is_refused():
    with pytest.raises(InputError, match=r"scenes\.json: the file"):
        SceneReader.parse("{", "scenes.json", SCENES)
