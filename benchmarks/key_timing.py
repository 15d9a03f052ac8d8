"""Whether the time of a refusal tells how much of a guessed key, or of its hash, is right."""

from __future__ import annotations

import json
import logging
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx
import numpy as np
import tyro
import uvicorn
from rich import box
from rich.console import Console
from rich.table import Table

from envs.catalogue import load_catalogue
from envs.lineage import lineage
from serving.access.limits import Limit
from serving.app import create_app
from serving.security import Keys, Role, digest_of, entry_of
from serving.service import Service
from serving.settings import Settings

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LENGTH: Final = 46
SHARED_LETTERS: Final = (0, 11, 22, 33, 44, 45)
GUESSES_A_GROUP: Final = 8
"""Guesses are searched for whose hashes share as many digits as asked; this many are used in
turn."""
FALSE_ALARM: Final = 0.001
"""Chance that a run ends with status 1 although nothing depends on anything."""
Z: Final = 3.48
"""Two-sided normal quantile of half that chance: two slopes are looked at."""
KEPT: Final = 0.95
"""Share of the times that count as undisturbed; a round with a longer one is left out whole. That
makes a dependence look a little smaller than it is, and lets a much smaller one be seen."""
NOWHERE: Final = "redis://127.0.0.1:1/0"
"""A refused caller never gets as far as Redis."""

Guess = Callable[[], str]
Refuse = Callable[[str], int]
"""Presents a key and gives the nanoseconds until it was refused."""


@dataclass(frozen=True, slots=True)
class KeyTiming:
    """Present keys that are right to different depths, in turn, and compare the times."""

    over: Literal["process", "http"] = "process"
    """Where: in this process, which sees nanoseconds, or over HTTP, as an attacker would."""
    rounds: int = 5_000
    """Times that each depth is presented; the order within a round is drawn."""
    keys: int = 3
    """Keys that the service knows; the guesses resemble the last."""
    digits: int = 4
    """Most digits of a hash that guesses are searched for with; each takes 16 times as long."""
    seed: int = 0
    """Of the keys and the order."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True, slots=True)
class Depths:
    """The times of guesses that are right to different depths."""

    what: str
    shared: tuple[int, ...]
    times_ns: np.ndarray[Any, np.dtype[np.float64]]  # [rounds, depths]

    def figures(self) -> dict[str, Any]:
        """Means, differences to the shallowest, and the slope, each with its interval."""
        calm = self.times_ns[(self.times_ns <= np.quantile(self.times_ns, KEPT)).all(axis=1)]
        differences = calm - calm[:, :1]
        depth = np.array(self.shared) - np.mean(self.shared)
        slope, within = _mean(calm @ depth / (depth @ depth))
        return {
            "what": self.what,
            "rounds": len(calm),
            "depths": [
                {"shared": shared, "mean_ns": mean, "more_ns": more, "within_ns": spread}
                for shared, mean, (more, spread) in zip(
                    self.shared, calm.mean(axis=0), map(_mean, differences.T), strict=True
                )
            ],
            "slope_ns": slope,
            "slope_within_ns": within,
            "depends": bool(abs(slope) > within),
        }


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Mean and half the width of its interval."""
    return float(values.mean()), float(Z * values.std(ddof=1) / np.sqrt(len(values)))


def letters_of(key: str, shared: int, rng: random.Random) -> Guess:
    """Guesses of the length of a key that share exactly so many leading letters with it."""

    def guess() -> str:
        other = rng.choice(LETTERS.replace(key[shared], ""))
        return key[:shared] + other + "".join(rng.choices(LETTERS, k=len(key) - shared - 1))

    return guess


def digits_of(key: str, shared: int) -> Guess:
    """Guesses of the length of a key whose hashes share exactly so many leading digits."""
    digits, found, number = digest_of(key).hex(), list[str](), 0
    while len(found) < GUESSES_A_GROUP:
        number += 1
        text = f"{number:0{len(key)}d}"
        other = digest_of(text).hex()
        if other.startswith(digits[:shared]) and other[shared] != digits[shared]:
            found.append(text)
    turn = iter(range(sys.maxsize))
    # A fresh string each time: nothing is to depend on where one lies in memory.
    return lambda: "".join(list(found[next(turn) % len(found)]))


def measure(
    what: str,
    guesses: dict[int, Guess],
    refuse: Refuse,
    rounds: int,
    rng: random.Random,
) -> Depths:
    """Present each depth once a round, in drawn order."""
    times = np.zeros((rounds, len(guesses)))
    for row in times:
        # All are made before the first is presented: making a shallow guess takes longer than
        # making a deep one, and leaves the processor's caches otherwise.
        order = list(enumerate([guess() for guess in guesses.values()]))
        rng.shuffle(order)
        for column, guess in order:
            row[column] = refuse(guess)
    return Depths(what, tuple(guesses), times)


def in_process(keys: Keys) -> Refuse:
    """Times of the comparison alone."""

    def refuse(guess: str) -> int:
        start = time.perf_counter_ns()
        known = keys.find(guess)
        took = time.perf_counter_ns() - start
        assert known is None
        return took

    return refuse


@contextmanager
def over_http(entries: str) -> Iterator[Refuse]:
    """Times of a whole refused call, to a service of our own."""
    service = Service(load_catalogue(), Settings(NOWHERE, "a secret of no user", api_keys=entries))
    service.limits.unknown = Limit(0)  # or guessing would take hours, which is its use
    with _listening(service) as url, httpx.Client(base_url=url) as client:

        def refuse(guess: str) -> int:
            start = time.perf_counter_ns()
            answer = client.get("/v1/decisions/none", headers={"x-api-key": guess})
            took = time.perf_counter_ns() - start
            assert answer.status_code == 401
            return took

        yield refuse


@contextmanager
def _listening(service: Service) -> Iterator[str]:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(create_app(service), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def compare(config: KeyTiming) -> dict[str, Any]:
    """Measure both: letters of the key, digits of its hash."""
    rng = random.Random(config.seed)
    known = ["sl_" + "".join(rng.choices(LETTERS, k=LENGTH - 3)) for _ in range(config.keys)]
    entries = ",".join(entry_of(Role.APP, key) for key in known)
    letters = {shared: letters_of(known[-1], shared, rng) for shared in SHARED_LETTERS}
    digits = {shared: digits_of(known[-1], shared) for shared in range(config.digits + 1)}
    groups = {"letters of the key": letters, "digits of its hash": digits}

    def measured(refuse: Refuse) -> list[dict[str, Any]]:
        return [
            measure(what, guesses, refuse, config.rounds, rng).figures()
            for what, guesses in groups.items()
        ]

    if config.over == "process":
        found = measured(in_process(Keys.parse(entries)))
    else:
        with over_http(entries) as refuse:
            found = measured(refuse)
    return {
        "over": config.over,
        "false_alarm": FALSE_ALARM,
        "groups": found,
        "lineage": lineage(config.seed),
    }


def show(result: dict[str, Any]) -> Table:
    """The figures as a table."""
    title = f"nanoseconds until a key is refused, over {result['over']}"
    table = Table("right from the left", "mean", "more than with none", title=title, box=box.SIMPLE)
    for group in result["groups"]:
        for depth in group["depths"]:
            more = f"{depth['more_ns']:+.1f} +- {depth['within_ns']:.1f}"
            table.add_row(f"{depth['shared']} {group['what']}", f"{depth['mean_ns']:.1f}", more)
        each = f"{group['slope_ns']:+.3f} +- {group['slope_within_ns']:.3f}"
        table.add_row(f"each of the {group['what']}", "", each, end_section=True)
    return table


def main(config: KeyTiming) -> int:
    """Compare, print, and say by the exit status whether the time tells anything."""
    result = compare(config)
    depends = [group["what"] for group in result["groups"] if group["depends"]]
    if config.json:
        print(json.dumps(result))
    else:
        Console().print(show(result))
        print(f"the time depends on: {', '.join(depends) or 'neither'}")
        print(f"a false alarm happens in {FALSE_ALARM:.1%} of the runs")
    return 1 if depends else 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(KeyTiming, prog="python -m benchmarks.key_timing")))
