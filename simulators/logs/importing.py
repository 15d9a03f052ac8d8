"""A table of past campaigns, read through its mapping into logs for training and for judgement."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events, Moment
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from envs.rules import Rules
from envs.users import UserState, advance
from simulators.logs.campaign_table import CampaignTable
from simulators.logs.log_columns import Floats, Texts
from simulators.logs.logged import Log, write_log
from simulators.logs.mapping import Cell, load_mapping


@dataclass(frozen=True, slots=True)
class ImportConfig:
    """Turn a CSV of past campaigns into a log, or into one to train on and one to judge with."""

    mapping: tyro.conf.Positional[Path]
    """Mapping file (YAML), for example simulators/logs/campaigns/hillstrom_mapping.yaml."""
    csv: tyro.conf.Positional[Path]
    """Campaign table (.csv or .csv.gz) with a header line."""
    out: Path
    """Log to write (Parquet)."""
    test_out: Path | None = None
    """Second log, for the users who are held out."""
    split: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.5
    """Share of the users who go to --out when there is a --test-out."""
    seed: int = 0
    """Which users are held out: by hash of user and seed."""
    json: bool = False
    """Print the result as one JSON object."""


def run_import(config: ImportConfig) -> None:
    """Import a campaign table, split by user, write the logs and print what is in them."""
    if not 0 < config.split < 1:
        raise InputError(f"--split {config.split} is not between 0 and 1")
    log = import_campaign(config.mapping, config.csv, config.seed)
    logs = {config.out: log}
    if config.test_out is not None:
        train = split_users(log.user_ids, config.split, config.seed)
        logs = {config.out: log.take(train), config.test_out: log.take(~train)}
    for path, part in logs.items():
        if not len(part):
            raise InputError(f"{path} would hold no row: choose another --split")
        write_log(part, path)
    _report({str(path): part for path, part in logs.items()}, log, config.json)


def split_users(user_ids: Texts, share: float, seed: int) -> NDArray[np.bool_]:
    """Whether each row's user belongs to the first part, [N]; the same for any order of rows."""

    def place(user: str) -> float:
        digest = hashlib.blake2b(f"{seed}:{user}".encode(), digest_size=8).digest()
        return float(int.from_bytes(digest, "big")) / 2.0**64

    return np.asarray([place(user) < share for user in user_ids], bool)


def import_campaign(mapping_path: Path, csv: Path, seed: int = 0) -> Log:
    """Read a campaign table as a log.

    Raises:
        MappingError, CatalogueError: the files that describe it are wrong.
        LogError: the table is wrong; names file, line and column.
    """
    mapping, catalogue = load_mapping(mapping_path)
    table = CampaignTable(csv)
    users = table.users(mapping)
    times = table.times(mapping)
    # Local time is UTC: a campaign table has no time zone of its users.
    moments = Moment(table.scenes(mapping, catalogue), times, np.zeros(len(table), np.int32))
    actions = table.actions(mapping, catalogue)
    attributes = np.full((len(table), len(catalogue.attributes)), np.nan)
    for name, cell in mapping.attributes.items():
        j = catalogue.attribute_index(name)
        attributes[:, j] = table.attribute(cell, catalogue.attributes[j])
    outcomes = {name: table.numbers(cell) for name, cell in mapping.outcomes.items()}
    reward = mapping.reward
    rewards = (
        outcomes[reward.outcome].copy()
        if reward.outcome is not None
        else table.numbers(Cell(column=str(reward.column)))
    )
    observations, mask = _seen(table, catalogue, users, moments, actions, attributes)
    return Log(
        catalogue=catalogue,
        decision_ids=np.asarray([f"{mapping.name}-{row + 1}" for row in range(len(table))], object),
        user_ids=users,
        times=times,
        scenes=moments.scene,
        actions=actions,
        propensities=table.propensities(mapping, catalogue, actions),
        observations=observations,
        mask=mask,
        rewards=rewards,
        attributes=attributes,
        degraded=np.zeros(len(table), bool),
        outcomes=outcomes,
        reward_unit=reward.unit,
        source=f"{mapping.name}: {csv.name} sha256 {hashlib.sha256(csv.read_bytes()).hexdigest()}",
        lineage=lineage(seed),
    )


def _seen(
    table: CampaignTable,
    catalogue: Catalogue,
    users: Texts,
    moments: Moment,
    actions: NDArray[np.int64],
    attributes: Floats,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a policy would have seen at each decision [N, D], and what it might have done [N, A].

    As the service would: attributes are told with the request, earlier contacts of the same user
    in the table are remembered. A user's decisions are played in order of time, those of different
    users side by side.
    """
    encoding, rules = Encoding(catalogue), Rules(catalogue)
    _, person = np.unique(users.astype(str), return_inverse=True)
    state = UserState.empty(catalogue, int(person.max()) + 1)
    observations = np.zeros((len(users), encoding.width), np.float32)
    refusals = np.zeros((len(users), len(catalogue.actions)), np.uint32)
    for rows in _turns(person, moments.now):
        _describe(state, person[rows], moments.now[rows], attributes[rows])
        current, moment = state.take(person[rows]), moments.take(rows)
        observations[rows] = encoding.encode(current, moment)
        refusals[rows] = rules.refusals(current, moment)
        _contact(state, catalogue, person[rows], moment, actions[rows])
    for row in np.flatnonzero(refusals[np.arange(len(actions)), actions]):
        names = ", ".join(rules.explain(int(refusals[row, actions[row]])))
        action = catalogue.actions[actions[row]].name
        message = (
            f"{action!r} was done, but rules of the catalogue refuse it ({names}): loosen them"
        )
        table.refuse("action", message, int(row))
    return observations, refusals == 0


def _turns(person: NDArray[np.int64], times: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
    """Rows to play side by side: everybody's first decision, then everybody's second, ..."""
    order = np.lexsort((times, person))
    ranked = pd.Series(person[order])
    turn = ranked.groupby(ranked).cumcount().to_numpy()
    for k in range(int(turn.max()) + 1):
        yield np.sort(order[turn == k])


def _describe(
    state: UserState, person: NDArray[np.int64], now: NDArray[np.int32], attributes: Floats
) -> None:
    """The attributes that came with the decisions."""
    if attributes.shape[1]:
        told = attributes.astype(np.float32)
        advance(state, Events.of(person, EventKind.DESCRIBED, now, attributes=told))


def _contact(
    state: UserState,
    catalogue: Catalogue,
    person: NDArray[np.int64],
    moment: Moment,
    actions: NDArray[np.int64],
) -> None:
    """The contacts that the decisions were, unless silent."""
    rows = np.flatnonzero(actions > 0)
    contacts = Events.of(
        person[rows],
        EventKind.CONTACTED,
        moment.now[rows],
        scene=moment.scene[rows],
        channel=catalogue.action_channel[actions[rows]],
        offer=catalogue.action_offer[actions[rows]],
    )
    advance(state, contacts)


def _report(logs: dict[str, Log], whole: Log, as_json: bool) -> None:
    arms = [(path, *arm) for path, part in logs.items() for arm in _arms(part)]
    if as_json:
        keys = ("log", "action", "decisions", "mean_reward")
        listed = [dict(zip(keys, arm, strict=True)) for arm in arms]
        print(json.dumps({"reward_unit": whole.reward_unit, "arms": listed} | whole.lineage))
        return
    table = Table("log", "action", title=f"{len(whole):,} decisions of {whole.source.split()[0]}")
    table.add_column("decisions", justify="right")
    table.add_column(f"mean {whole.reward_unit}", justify="right")
    for path, action, decisions, mean in arms:
        table.add_row(path, action, f"{decisions:,}", "unknown" if mean is None else f"{mean:.4f}")
    Console().print(table)


def _arms(log: Log) -> Iterator[tuple[str, int, float | None]]:
    """Name, decisions and mean known reward of each action that the log took."""
    for index in np.unique(log.actions):
        rewards = log.rewards[log.actions == index]
        known = rewards[~np.isnan(rewards)]
        mean = float(known.mean()) if len(known) else None
        yield log.catalogue.actions[index].name, len(rewards), mean
