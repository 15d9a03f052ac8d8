"""The command that makes a small policy of a large one, and states what that costs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from agents.baselines import make_baseline
from agents.judging.field import OTHER_LUCK, Field, Outcome, Weekly, interval, play
from agents.policy import Bundle, QNetworkPolicy, check_place, load_bundle, save_bundle
from agents.shipping.distilling import (
    SHARE,
    Situations,
    at_price,
    collect,
    distil,
    likeness,
    parameters,
    parameters_of,
    widest,
)
from envs.encoding import Encoding
from envs.errors import InputError
from envs.lineage import lineage
from simulators.make import world_factory
from simulators.progress import Bar

STEPS = 5000
"""Of learning, when neither steps nor seconds are given."""


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """Make a policy at least 80 % smaller that decides alike, and state its loss of value."""

    bundle: tyro.conf.Positional[Path]
    """Folder of the teacher's bundle; a Q-network."""
    out: Path = Path("runs/distilled")
    """Folder of the student's bundle."""
    hidden: tuple[int, ...] = ()
    """Widths of the student's hidden layers; two equal ones, as wide as it may be, if left out."""
    preset: str = "default"
    """World in which situations are met and value is judged."""
    users: int = 500
    """People whose situations, under the teacher, are learnt from; at each budget price."""
    days: float = 28.0
    """How long everybody is followed."""
    budget_prices: tuple[float, ...] = (0.0,)
    """Prices of a cent spent at which the student has to know what to do, and is judged."""
    seed: int = 0
    """Of first weights, order and people; with --steps the student repeats exactly."""
    steps: int | None = None
    """How many steps to learn; 5000 when --seconds is not given either."""
    seconds: float | None = None
    """How long to learn."""
    evaluate_users: int = 2000
    """Other people, on whom teacher and student are judged under the same luck."""
    json: bool = False
    """Print one JSON object."""


def run_distil(config: DistilConfig) -> None:
    """The command: collect, learn, judge, write, say what was lost."""
    teacher_bundle = load_bundle(config.bundle)
    teacher = teacher_bundle.policy
    if not isinstance(teacher, QNetworkPolicy):
        raise InputError(
            f"{config.bundle}: {teacher.kind} is not made of layers: only a q_network is distilled"
        )
    hidden = config.hidden or widest(teacher)
    _check(config, teacher, hidden)
    student, figures = _student(config, teacher, teacher_bundle, hidden)
    figures |= _judged(config, teacher, student, teacher_bundle)
    origin = lineage(config.seed)
    save_bundle(config.out, student, teacher_bundle.catalogue, origin, figures)
    if config.json:
        print(json.dumps({"out": str(config.out), "figures": figures, "lineage": origin}))
        return
    _say(config, figures)


def _check(config: DistilConfig, teacher: QNetworkPolicy, hidden: tuple[int, ...]) -> None:
    """Refuse what does not fit together, before anything starts.

    Raises:
        InputError: names the value and the remedy.
    """
    if not min(config.users, config.days, len(config.budget_prices)) >= 1:
        raise InputError(
            f"users {config.users}, days {config.days:g} and the number of budget prices "
            f"{len(config.budget_prices)} have to be 1 or more"
        )
    if config.evaluate_users < 2 or min(hidden) < 1 or min(config.budget_prices) < 0:
        raise InputError(
            f"evaluate_users {config.evaluate_users} have to be 2 or more, hidden {hidden} 1 or "
            f"more, budget prices {config.budget_prices} 0 or more"
        )
    for name in ("steps", "seconds"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise InputError(f"--{name} {value} has to be above 0")
    inputs, actions = teacher.shape
    wanted, most = parameters_of((inputs, *hidden, actions)), SHARE * parameters(teacher)
    if wanted > most:
        raise InputError(
            f"hidden layers {hidden} make {wanted:,} parameters, more than {SHARE:.0%} of the "
            f"teacher's {parameters(teacher):,}: give narrower ones, such as {widest(teacher)}"
        )
    check_place(config.out)


def _student(
    config: DistilConfig, teacher: QNetworkPolicy, bundle: Bundle, hidden: tuple[int, ...]
) -> tuple[QNetworkPolicy, dict[str, Any]]:
    """The student, and what is known of how it was made."""
    import torch

    torch.set_num_threads(1)  # so that a run repeats
    worlds = world_factory(config.preset, bundle.catalogue)
    luck, prices, shown = config.seed + OTHER_LUCK, config.budget_prices, not config.json
    with Bar("meeting situations", shown) as bar:
        met = collect(teacher, worlds, luck, config.users, config.days, prices, bar.update)
    learnt, unseen = _parted(met)
    steps = STEPS if config.steps is None and config.seconds is None else config.steps
    started = time.perf_counter()
    with Bar("learning", shown) as bar:
        student, taken = distil(
            teacher, learnt, hidden, config.seed, steps, config.seconds, bar.update
        )
    alike = likeness(teacher, student, unseen)
    return student, {
        "teacher": bundle.policy.name,
        "teacher_weights_sha256": bundle.manifest.weights_sha256,
        "teacher_parameters": parameters(teacher),
        "parameters": parameters(student),
        "smaller_by": round(1 - parameters(student) / parameters(teacher), 4),
        "situations": len(learnt),
        "steps": taken,
        "seconds": round(time.perf_counter() - started, 1),
        "preset": config.preset,
        "agreement": alike.agreement,
        "regret": alike.regret,
    }


def _parted(met: Situations) -> tuple[Situations, Situations]:
    """Every tenth situation is kept from the student, to see how alike both decide."""
    kept = np.arange(len(met)) % 10 == 0
    return (
        Situations(met.observations[~kept], met.mask[~kept]),
        Situations(met.observations[kept], met.mask[kept]),
    )


def _judged(
    config: DistilConfig, teacher: QNetworkPolicy, student: QNetworkPolicy, bundle: Bundle
) -> dict[str, Any]:
    """Both on other people, under the same luck, at each price: what the student loses."""
    users, seeds = config.evaluate_users, (config.seed,)
    where = Field(bundle.catalogue, config.preset, users, config.days, seeds)
    column = Encoding(bundle.catalogue).names.index("budget_price")
    prices, found = config.budget_prices, []
    with Bar("judging", shown=not config.json) as bar:
        silence = play(where, make_baseline("silence", bundle.catalogue))
        for done, price in enumerate(prices, start=1):
            large, small = (
                play(where, at_price(policy, column, price)) for policy in (teacher, student)
            )
            found.append(_compared(silence, large, small, price))
            bar.update(done / len(prices))
    judged = {"evaluation": {"users": where.users, "days": where.days, "cents": where.cents}}
    return judged | found[0] | {"at_other_budget_prices": found[1:]}


def _compared(silence: Outcome, large: Outcome, small: Outcome, price: float) -> dict[str, Any]:
    """Worth of teacher and student beside silence, less what their spend is priced with."""
    nothing, teacher, student = (
        outcome.value - price * outcome.spend for outcome in (silence, large, small)
    )
    return {
        "budget_price": price,
        "value_per_user_week_cents": interval(student),
        "teacher_value_per_user_week_cents": interval(teacher),
        "loss_of_value_cents": interval(teacher - student),
        "teacher_gain_over_silence": interval(teacher - nothing),
        "gain_over_silence": interval(student - nothing),
        "share_of_gain_lost": _share(teacher - student, teacher - nothing),
    }


def _share(lost: Weekly, gained: Weekly) -> dict[str, float] | None:
    """What is lost as a share of what there was to lose, paired; None where there was nothing.

    Interval by the delta method (Cochran, Sampling Techniques, 3rd ed., section 2.11).
    """
    if not gained.mean() > 0:
        return None
    share = lost.mean() / gained.mean()
    return interval(share + (lost - share * gained) / gained.mean())


def _say(config: DistilConfig, figures: dict[str, Any]) -> None:
    lines = [
        f"{figures['teacher_parameters']:,} -> {figures['parameters']:,} parameters "
        f"({figures['smaller_by']:.1%} smaller) -> {config.out}",
        f"the same best action in {figures['agreement']:.1%} of the situations with a choice",
        *(_lost(each) for each in (figures, *figures["at_other_budget_prices"])),
        f"({figures['evaluation']['users']} users x {figures['evaluation']['days']:g} days)",
    ]
    Console(stderr=True).print("\n".join(lines), highlight=False, soft_wrap=True)


def _lost(judged: dict[str, Any]) -> str:
    loss, share = judged["loss_of_value_cents"], judged["share_of_gain_lost"]
    interval = f"[{loss['low']:.2f}, {loss['high']:.2f}]"
    line = f"loss of value {loss['mean']:.2f} {interval} cents a user-week"
    if judged["budget_price"]:
        line += f" at a budget price of {judged['budget_price']:g}"
    if share is None:
        return line
    interval = f"[{share['low']:.1%}, {share['high']:.1%}]"
    return f"{line}, {share['mean']:.1%} {interval} of the teacher's gain over silence"
