"""The command that makes an API key."""

import json

import pytest

from serving.__main__ import main
from serving.security import Keys, Role


@pytest.mark.parametrize("role", ["app", "analyst", "admin"])
def test_the_entry_that_is_printed_lets_the_key_in(capsys, role):
    assert main(["key", "--role", role, "--name", "web-shop", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    found = Keys.parse(made["entry"]).find(made["key"])
    assert (found.role, found.name) == (Role[role.upper()], "web-shop")
    assert made["key"] not in made["entry"]


def test_each_key_is_a_fresh_one_of_256_bits(capsys):
    keys = set()
    for _ in range(20):
        main(["key"])
        key, entry = (line.rpartition(" ")[2] for line in capsys.readouterr().out.splitlines())
        assert Keys.parse(entry).find(key).role is Role.APP
        assert len(key) == len("sl_") + 43  # 6 bits a character
        keys.add(key)
    assert len(keys) == 20


def test_a_name_that_would_break_the_entry_is_refused(capsys):
    assert main(["key", "--name", "a,b"]) == 2
    said = capsys.readouterr().err
    assert "--name 'a,b'" in said and said.count("\n") == 1
