"""One user under two policies: the same scenes and the same luck, other contacts.

From the root of the repository, with a small world of its own or with two traces:
    python -m marimo run notebooks/replay.py
    python -m marimo run notebooks/replay.py -- --trace one.parquet --other two.parquet
    python -m marimo run notebooks/replay.py -- --trace one.parquet --policy silence
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="SceneLift replay")

with app.setup:
    from pathlib import Path

    import marimo as mo
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    import pyarrow.compute as pc
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from agents.baselines import make_baseline
    from agents.policy import load_policy
    from envs.catalogue import load_catalogue
    from envs.decisions import EventKind
    from simulators.replay import again, world_of
    from simulators.rollout import rollout
    from simulators.trace import Trace, read_trace
    from simulators.value import paired_difference
    from simulators.world import SyntheticWorld


@app.cell
def _():
    mo.md("""
    # One user under two policies

    Both policies meet the same person, in the same scenes, at the same times, with the same luck.
    Whatever differs below is the work of the policy. Step through the user's opportunities: a
    dot is a contact, filled when it was seen; a star is a purchase. A sale that a contact makes
    is valued at the contact, even when it is paid days later.
    """)
    return


@app.cell
def _():
    given = {name: str(value) for name, value in mo.cli_args().to_dict().items()}
    return (given,)


@app.cell
def _(given):
    one, two = traces(given)
    names = [one.info.policy_name, two.info.policy_name]
    if names[0] == names[1]:
        names[1] += ", the other"
    difference = paired_difference(one, two)
    return difference, names, one, two


@app.cell
def _(difference, names):
    mo.md(f"""
    **{names[1]}** minus **{names[0]}**, net value over {difference.users} users, paired:
    **{difference.mean:+,.1f}** cents per user-week, 95 % interval
    {difference.low:+,.1f} to {difference.high:+,.1f}.
    """)
    return


@app.cell
def _(one, two):
    farthest = (by_user(two) - by_user(one)).abs().sort_values(ascending=False).index.astype(str)
    user = mo.ui.dropdown(list(farthest), farthest[0], label="User, the most different first")
    return (user,)


@app.cell
def _(one, two, user):
    lives = [life(trace, int(user.value)) for trace in (one, two)]
    last = max(len(each) for each in lives) - 1
    apart = (lives[1]["net_cents"] - lives[0]["net_cents"]).abs().fillna(0)
    opportunity = mo.ui.slider(
        0, last, value=int(apart.argmax()), label="Opportunity", show_value=True, full_width=True
    )
    mo.hstack([user, opportunity], widths=[1, 2])
    return lives, opportunity


@app.cell
def _(lives, names, opportunity):
    here = pd.concat([moment(each, opportunity.value) for each in lives], axis=1, keys=names)
    table = mo.ui.table(
        here.reset_index(names="at this opportunity"),
        selection=None,
        pagination=False,
        show_column_summaries=False,
        show_data_types=False,
        show_download=False,
    )
    mo.vstack([timeline(lives, names, opportunity.value), table])
    return


@app.function
def traces(given: dict[str, str]) -> tuple[Trace, Trace]:
    """What the command line asks for: two traces, one under another policy, or a small world."""
    if "trace" not in given:
        world = SyntheticWorld(200, seed=0)
        users, catalogue = np.arange(200), world.catalogue
        one = rollout(world, make_baseline("rule_book", catalogue), users, days=14)
        given = {"policy": "constant:gift/mini_program", **given}
    else:
        one = read_trace(Path(given["trace"]))
    if "other" in given:
        return one, read_trace(Path(given["other"]))
    policy = given.get("policy", "silence")
    return one, again(one, load_policy(policy, world_of(one).catalogue), policy)


@app.function
def by_user(trace: Trace) -> pd.Series:
    """Net cents of each user over the whole trace."""
    return trace.table.select(["user", "net_cents"]).to_pandas().groupby("user")["net_cents"].sum()


@app.function
def life(trace: Trace, user: int) -> pd.DataFrame:
    """One user's opportunities, with the local time and the channel of each contact."""
    rows = trace.table.filter(pc.field("user") == user).to_pandas()
    local = rows["time"].dt.tz_localize(None) + pd.to_timedelta(rows["utc_offset_s"], unit="s")
    channel = rows["action"].astype(str).str.partition("/")[2]
    return rows.assign(local=local, channel=channel, total=rows["net_cents"].cumsum() / 100)


@app.function
def reported(outcome: int) -> list[str]:
    """The kinds of events in one row's outcome bits."""
    return [kind.name.lower() for kind in EventKind if outcome >> kind & 1]


@app.function
def moment(rows: pd.DataFrame, opportunity: int) -> pd.Series:
    """What happened at one opportunity, for the table."""
    if opportunity >= len(rows):
        return pd.Series({"scene": "left for good"})
    row = rows.iloc[opportunity]
    allowed = int.from_bytes(row["mask"], "little").bit_count()
    return pd.Series(
        {
            "local time": f"{row['local']:%a %d %b %H:%M}",
            "scene": row["scene"],
            "allowed actions": f"{allowed}",
            "action": row["action"],
            "propensity": f"{row['propensity']:.3f}",
            "reported": ", ".join(reported(row["outcome"])) or "nothing",
            "paid": f"{row['paid_cents'] / 100:.2f}",
            "net value": f"{row['net_cents'] / 100:.2f}",
            "mean of it, action": f"{row['expected_cents'] / 100:.2f}",
            "mean of it, silence": f"{row['silence_cents'] / 100:.2f}",
            "hidden: kind of person": row["archetype"],
            "hidden: need open": "yes" if row["ripe"] else "no",
            "hidden: fatigue": f"{row['fatigue']:.2f}",
        }
    )


@app.function
def timeline(lives: list[pd.DataFrame], names: list[str], opportunity: int) -> Figure:
    """Scenes, contacts and purchases under each policy, and the net value as it adds up."""
    figure, axes = plt.subplots(
        3, 1, figsize=(12, 8), sharex=True, height_ratios=[3, 3, 2], layout="constrained"
    )
    scenes = list(lives[0]["scene"].cat.categories)
    for panel, rows, name in zip(axes, lives, names, strict=False):
        draw_life(panel, rows, scenes)
        panel.set_title(name, loc="left", fontweight="bold")
    for rows, name in zip(lives, names, strict=True):
        axes[2].step(rows["local"], rows["total"], where="post", label=name)
    axes[2].set_title("net value so far, in whole currency units", loc="left", fontweight="bold")
    axes[2].legend(loc="upper left", frameon=False)
    longest = max(lives, key=len)
    for panel in axes:
        panel.axvline(longest["local"].iloc[opportunity], color="crimson", linewidth=1)
        panel.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8)
    return figure


@app.function
def draw_life(axes: Axes, rows: pd.DataFrame, scenes: list[str]) -> None:
    """One user's way through the scenes; contacts filled when seen, purchases as stars."""
    place = rows["scene"].cat.codes
    axes.step(rows["local"], place, where="post", color="lightgrey", linewidth=0.8)
    seen = (rows["outcome"].to_numpy() >> EventKind.OPENED & 1).astype(bool)
    channels = [channel.name for channel in load_catalogue().channels]
    for number, channel in enumerate(channels):
        colour = f"C{number}"
        sent = (rows["channel"] == channel).to_numpy()
        axes.scatter(
            rows["local"][sent], place[sent], s=34, label=channel, edgecolors=colour,
            facecolors=np.where(seen[sent], colour, "white"), zorder=2,
        )  # fmt: skip
    bought = rows["paid_cents"] > 0
    axes.scatter(
        rows["local"][bought], place[bought], s=150, marker="*", color="black", zorder=3,
        label="purchase",
    )  # fmt: skip
    axes.set_yticks(range(len(scenes)), scenes, fontsize=8)


if __name__ == "__main__":
    app.run()
