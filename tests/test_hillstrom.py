"""The whole way of a real log: import, serve its customers over HTTP, judge what was served.

The small table that always runs is made here; the 64,000 real customers are used where their file
lies beside the checkout.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import uvicorn

from agents.ope import OpeConfig, run_ope
from agents.policies.linear_gaussian import LinearGaussianPolicy
from agents.policy import load_bundle, save_bundle
from envs.encoding import Encoding
from envs.lineage import lineage
from serving.app import create_app
from serving.service import Service
from serving.settings import Settings
from serving.store.redis_server import RedisServer
from simulators.clients.traffic import TrafficConfig, run_traffic
from simulators.logs.importing import ImportConfig, run_import, split_users
from simulators.logs.logged import read_log
from simulators.logs.served import read_served

ROOT = Path(__file__).parent.parent
MAPPING = ROOT / "simulators" / "logs" / "campaigns" / "hillstrom_mapping.yaml"
REAL = ROOT / ".." / "shared" / "data" / "hillstrom.csv.gz"
ARMS = {
    "silence": "No E-Mail",
    "mens/email": "Mens E-Mail",
    "womens/email": "Womens E-Mail",
}


def made_table(path: Path, customers: int) -> Path:
    """A table of the challenge's columns in which the mens mail works for those who buy mens."""
    generator = np.random.default_rng(8)
    segment = generator.choice(list(ARMS.values()), customers)
    mens = generator.integers(0, 2, customers)
    chance = 0.1 + 0.2 * ((segment == "Mens E-Mail") & (mens == 1))
    visit = (generator.random(customers) < chance).astype(int)
    table = pd.DataFrame(
        {
            "recency": generator.integers(1, 13, customers),
            "history_segment": "1) $0 - $100",
            "history": generator.uniform(30, 3000, customers).round(2),
            "mens": mens,
            "womens": 1 - mens,
            "zip_code": generator.choice(["Urban", "Surburban", "Rural"], customers),
            "newbie": generator.integers(0, 2, customers),
            "channel": generator.choice(["Phone", "Web", "Multichannel"], customers),
            "segment": segment,
            "visit": visit,
            "conversion": 0,
            "spend": 0.0,
        }
    )
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module", params=["made", pytest.param("real", marks=pytest.mark.slow)])
def halves(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The table, and the folder with train.parquet and test.parquet made of it."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "made":
        csv = made_table(folder / "table.csv", 3000)
    elif REAL.exists():
        csv = REAL
    else:
        pytest.skip("../shared/data/hillstrom.csv.gz is not beside this checkout")
    config = ImportConfig(
        MAPPING, csv, out=folder / "train.parquet", test_out=folder / "test.parquet"
    )
    run_import(config)
    return csv, folder


def test_the_two_halves_hold_every_customer_once(halves: tuple[Path, Path]) -> None:
    csv, folder = halves
    table = pd.read_csv(csv)
    train, test = read_log(folder / "train.parquet"), read_log(folder / "test.parquet")
    everybody = {f"customer-{row + 1}" for row in range(len(table))}
    assert {*train.user_ids} | {*test.user_ids} == everybody
    assert len(train) + len(test) == len(everybody)


def test_estimates_of_the_constant_arms_cover_the_held_out_means(
    halves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # The means come from the table itself. SNIPS equals them; the IPS interval, which is wider
    # because the share of an arm is drawn too, holds them unless that share is far from a third:
    # three arms at 95 % would miss one of them about once in 40 tables if the two were independent.
    csv, folder = halves
    table = pd.read_csv(csv)
    users = np.asarray([f"customer-{row + 1}" for row in range(len(table))], object)
    held_out = table[~split_users(users, 0.5, seed=0)]
    run_ope(OpeConfig(folder / "test.parquet", policy="uniform", json=True))
    result = json.loads(capsys.readouterr().out)
    assert [arm["policy"] for arm in result["arms"]] == list(ARMS)
    for arm in result["arms"]:
        mean = held_out.visit[held_out.segment == ARMS[arm["policy"]]].mean()
        assert arm["observed_mean"] == pytest.approx(mean)
        assert arm["snips"]["value"] == pytest.approx(mean)
        assert arm["snips"]["low"] < mean < arm["snips"]["high"]
        assert arm["ips"]["low"] < mean < arm["ips"]["high"]


def test_the_real_customers_show_the_published_moments() -> None:
    if not REAL.exists():
        pytest.skip("../shared/data/hillstrom.csv.gz is not beside this checkout")
    table = pd.read_csv(REAL)
    visits = table.groupby("segment").visit.mean()
    assert [round(float(visits[name]), 4) for name in ARMS.values()] == [0.1062, 0.1828, 0.1514]


def bundle(folder: Path) -> Path:
    """A linear policy with opinions of its own, so that every customer has another row."""
    catalogue = read_log(folder / "train.parquet").catalogue
    generator, width = np.random.default_rng(2), Encoding(catalogue).width + 1
    policy = LinearGaussianPolicy(
        generator.normal(0, 0.3, (3, width)),
        np.tril(generator.normal(0, 0.1, (3, width, width))),
    )
    save_bundle(folder / "policy", policy, catalogue, lineage(0), {})
    return folder / "policy"


@contextmanager
def serving(path: Path, redis_folder: Path) -> Iterator[str]:
    """The real application with a bundle, on a free port, and a real Redis."""
    loaded = load_bundle(path)
    with RedisServer.start(redis_folder) as redis:
        settings = Settings(redis.url, "a secret of the tests only", redis_timeout_ms=5_000)
        service = Service(loaded.catalogue, settings)
        service.serve_policy(loaded.policy)
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(service), log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listener.close()


@pytest.mark.slow
def test_the_service_sees_a_customer_exactly_as_the_log_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv = made_table(tmp_path / "table.csv", 1200)
    test = tmp_path / "test.parquet"
    run_import(ImportConfig(MAPPING, csv, out=tmp_path / "train.parquet", test_out=test))
    path, decisions = bundle(tmp_path), tmp_path / "decisions.parquet"
    with serving(path, tmp_path / "redis") as url:
        run_traffic(TrafficConfig(url, log=test, out=decisions, connections=1))
    log, served = read_log(test), read_served(decisions)
    rows, answers, actions = served.matched(log)
    assert len(rows) == len(log)
    # One customer at a time, as the service was asked: among others, the last bits may differ.
    policy = load_bundle(path).policy
    each = [policy.probabilities(log.observations[[row]], log.mask[[row]])[0] for row in rows]
    np.testing.assert_allclose(
        served.propensities[answers],
        np.asarray(each)[np.arange(len(rows)), actions],
        rtol=1e-12,
        err_msg="the service decided from another observation than the log holds",
    )
    capsys.readouterr()
    run_ope(OpeConfig(test, decisions=decisions, json=True))
    result = json.loads(capsys.readouterr().out)
    assert result["decisions"] == len(log)
    own = log.rewards[log.actions == actions]
    assert result["policy"]["snips"]["value"] == pytest.approx(own.mean())
    assert result["policy"]["weights"]["effective"] == pytest.approx(len(own))
