"""The commands that change what serves: one line of answer, or one line of reason."""

import json

import pytest

from serving.__main__ import main
from tests.serving.live import running


@pytest.fixture(scope="module")
def address(bundled_redis, catalogue):
    with running(bundled_redis.url, catalogue) as service:
        assert service.service.policies.configure("rule_book")
        yield service.url


def said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_a_policy_is_loaded_tried_promoted_and_rolled_back(address, capsys):
    where = ("--url", address)
    assert "candidate is loaded" in said(capsys, "load", "candidate", "uniform", *where)
    assert "candidate shadows" in said(capsys, "shadow", "candidate", *where)
    assert "shadows" not in said(capsys, "shadow", *where)
    shared = said(capsys, "canary", "candidate", "--share", "0.25", *where)
    assert "rule_book serves, candidate decides for 25.0% of the users" in shared
    assert "candidate serves" in said(capsys, "promote", "candidate", *where)
    assert "rule_book serves" in said(capsys, "rollback", *where)
    shown = said(capsys, "policies", *where)
    assert "candidate: uniform, a baseline" in shown
    answer = json.loads(said(capsys, "policies", "--json", *where))
    assert (answer["serving"], answer["canary"], answer["past"]) == ("rule_book", None, [])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("promote", "nobody"), "load it first"),
        (("load", "a", "no/such/folder"), "no policy"),
        (("load", "a b", "uniform"), "name"),
        (("canary", "rule_book", "--share", "2"), "share"),
    ],
)
def test_what_the_service_refuses_is_one_line(address, capsys, words, reason):
    assert main([*words, "--url", address]) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address"])
def test_a_service_that_does_not_answer_is_one_line(capsys, url):
    assert main(["policies", "--url", url]) == 2
    told = capsys.readouterr().err
    assert "no service answers" in told and told.count("\n") == 1
