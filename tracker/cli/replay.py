"""``tracker decisions replay`` and ``tracker decisions waste``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.format import visible
from tracker.cli.options import (
    children_option,
    complete_metrics,
    database_option,
    format_option,
    listing_options,
    runs_argument,
    where_option,
)
from tracker.cli.output import on_terminal, say
from tracker.cli.render import print_data, print_listing, print_table
from tracker.cli.table import Table
from tracker.errors import BadValue
from tracker.policies import MODES, RULES, Retention
from tracker.queries import api as queries
from tracker.queries.result import Column, Listing, listing_of
from tracker.queries.waste import by_experiment as waste_by_experiment
from tracker.queries.waste import waste as waste_of_runs
from tracker.replays import api
from tracker.replays.settings import patiences_of
from tracker.storage.database import reading

if TYPE_CHECKING:
    from tracker.replays.early_stopping import Outcome
    from tracker.replays.tradeoff import Point

_ROWS = {api.PLATEAU: "reductions", api.CHECKPOINT: "files"}
_SPARE_WASTE = ("cost_after", "experiment", "monitor", "best_epoch", "seconds", "epochs")
_SPARE_CURVE = ("most_given_up", "runs", "seconds_saved", "stopped")
_SPARE = ("rules", "min_delta", "own_best_epoch", "own_best", "monitor")
_PATIENCES_OF_A_CURVE = range(1, 21)


def _read_patiences(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> list[int] | None:
    """Read ``5``, ``1,3,5`` or ``1..20``."""
    if text is None:
        return None
    low, dots, high = text.partition("..")
    try:
        patiences: Sequence[int] = (
            range(int(low), int(high) + 1) if dots else [int(part) for part in text.split(",")]
        )
    except ValueError:
        patiences = []
    if not patiences:
        raise click.BadParameter(f"{text!r} is not a patience: write 5, 1,3,5 or 1..20.")
    try:
        return patiences_of(patiences)
    except BadValue as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@runs_argument()
@children_option
@where_option("Only runs that match this filter.")
@click.option(
    "--patience", metavar="N|N,N…|N..N", callback=_read_patiences,
    help="What to try; by default the run's own, or 1..20 for a curve.",
)  # fmt: skip
@click.option("--min-delta", type=float, help="What an improvement must exceed.")
@click.option(
    "--monitor",
    metavar="METRIC",
    shell_complete=complete_metrics,
    help="Judge by this metric, not by the callback's.",
)
@click.option("--mode", type=click.Choice(MODES), help="Whether lower or higher is better.")
@click.option("--baseline", type=float, help="What the first improvements must beat.")
@click.option("--start-from-epoch", type=int, help="Do not judge the epochs before this one.")
@click.option("--rules", type=click.Choice(RULES), help="By default those that decided the run.")
@click.option(
    "--policy", type=click.Choice(api.POLICIES), default=api.EARLY_STOPPING, show_default=True,
    help="The callback to replay; all but EarlyStopping are experimental.",
)  # fmt: skip
@click.option(
    "--factor", type=float, help="For ReduceLROnPlateau: what the learning rate is multiplied by."
)
@click.option(
    "--cooldown",
    type=int,
    help="For ReduceLROnPlateau: epochs after a reduction that do not count.",
)
@click.option(
    "--keep", type=click.IntRange(min=0), help="For ModelCheckpoint: how many best files stay."
)
@click.option(
    "--last",
    type=click.IntRange(min=0),
    help="For ModelCheckpoint: also keep so many newest files.",
)
@click.option(
    "--every", type=click.IntRange(min=1), metavar="N",
    help="For ModelCheckpoint: also keep the epochs N, 2N, … (from 1).",
)  # fmt: skip
@click.option(
    "--max-size", metavar="SIZE", help="For ModelCheckpoint: what the files may take, as in 20GB."
)
@click.option(
    "--curve", is_flag=True, help="Sum up over the runs: compute saved against metric given up."
)
@click.option("--png", type=click.Path(dir_okay=False), help="Draw that curve into a file.")
@format_option
@database_option
def replay(
    names: tuple[str, ...], children: bool, where: str | None, policy: str, curve: bool, png: str | None,
    form: str, database: str | None, patience: list[int] | None, keep: int | None, last: int | None,
    every: int | None, max_size: str | None, **given: Any,
) -> None:  # fmt: skip
    """Replay a callback with other settings over what was recorded.

    A replay can only shorten a run: epochs that were never trained have no value. Every setting that is
    not given is the run's own. Of several EarlyStoppings it is the one that watches --monitor; without
    --monitor the one that stopped the run, else the one that restored weights, else the first. Runs without
    epochs are left out, and so are runs without the metric that were not named.

    Replays of ReduceLROnPlateau and ModelCheckpoint are experimental: what another learning rate would
    have done to the metric nobody recorded, so that only the first reduction of a run is certain.

    \b
    Example:
      tracker decisions replay digits-3 --patience 5 --min-delta 0.001
      tracker decisions replay --where "experiment = 'digits'" --patience 1..20 --curve
      tracker decisions replay digits-3 --policy ModelCheckpoint --keep 3
      tracker decisions replay digits-3 --policy ModelCheckpoint --last 2 --every 10
    """
    from tracker.replays.early_stopping import outcomes

    with_curve = curve or png is not None
    stay = {"keep": keep, "last": last, "every": every, "max_size": max_size}
    asked = {**given, **stay, "patience": patience, "curve": curve, "png": png}
    api.check(policy, asked, api.as_option)
    if any(value is not None for value in stay.values()):
        given["keep"] = Retention(keep, last, every, max_size)
    if patience is None and with_curve:
        patience = list(_PATIENCES_OF_A_CURVE)
    with reading(database) as reader:
        ids, missing = api.select(reader, names, where, children=children)
        if with_curve:
            tried = outcomes(reader, ids, patience, given, missing)
        else:
            listing = api.replay_runs(reader, ids, policy, patience, given, missing)
        report = missing.report(reader, ids)
    if report is not None:
        say(f"{report}.", err=True)
    if with_curve:
        _print_curve(tried, form, png)
    elif policy == api.EARLY_STOPPING:
        _print_outcomes(listing, form)
    else:
        print_listing(listing, form, _ROWS[policy])


def _print_outcomes(listing: Listing, form: str) -> None:
    if form != "table":
        print_data(listing, form)
    elif not listing.rows:
        say("No runs with epochs.", err=True)
    else:
        print_table(Table(listing, spare=_SPARE, keep=("stop_epoch",)))
        unstopped = listing.cells("stop_epoch").count(None)
        if unstopped:
            say(
                f"{unstopped} of {len(listing.rows)} would not have stopped within what was recorded; "
                f"what later epochs would have brought is unknown.",
                err=True,
            )


def _print_curve(outcomes: list[Outcome], form: str, png: str | None) -> None:
    from tracker.replays.tradeoff import tradeoff

    points = tradeoff(outcomes)
    listing = _curve_listing(points)
    if form != "table":
        print_data(listing, form)
    elif points:
        print_table(Table(listing, spare=_SPARE_CURVE))
        if on_terminal():
            from tracker.exports.tradeoff import X_LABEL, y_label

            say()
            say(visible(f"{y_label(_metric_of(outcomes))}, by {X_LABEL}"))
            say("\n".join(line.rstrip() for line in _drawn(points)), whole=True)
    else:
        say("No runs with epochs.", err=True)
    if png is not None:
        from tracker.exports.tradeoff import save_tradeoff

        save_tradeoff(points, png, _metric_of(outcomes))
        say(f"Written: {png}", err=True)


def _metric_of(outcomes: list[Outcome]) -> str:
    """Return the metric that is given up; all runs of a curve are judged by one."""
    return next((one.monitor for one in outcomes if one.epochs), "metric")


def _curve_listing(points: list[Point]) -> Listing:
    """Return the points, with the knee marked by that word."""
    from tracker.replays.tradeoff import Point

    listing = listing_of(Point, points)
    columns = tuple(
        Column("knee", "text") if column.name == "knee" else column for column in listing.columns
    )
    rows = ({**row, "knee": "knee" if row["knee"] else None} for row in listing.dicts())
    return Listing.from_dicts(columns, rows)


def _drawn(points: list[Point]) -> list[str]:
    """Return the curve as lines of text."""
    from tracker.cli.chart import Curve, Symbol, draw
    from tracker.cli.curves import paper_of
    from tracker.exports.tradeoff import places

    found = places(points)
    knees = [place for place in found if place[3]]
    curve = Curve(
        [x for x, _, _, _ in found], [y for _, y, _, _ in found],
        [Symbol(x, y, "o") for x, y, _, is_knee in found if not is_knee]
        + [Symbol(x, y, "K") for x, y, _, _ in knees],
    )  # fmt: skip
    key = [f"K knee: patience {name}" for _, _, name, _ in knees]
    return [*draw([curve], paper_of(whole=False)), *key]


@click.command()
@runs_argument()
@click.option("--by-experiment", is_flag=True, help="Sum up per experiment.")
@listing_options
def waste(
    names: tuple[str, ...], by_experiment: bool, where: str | None, sort: str | None,
    limit: int | None, form: str, database: str | None,
) -> None:  # fmt: skip
    """List what runs spent after their best epoch, the most wasteful first.

    \b
    Example:
      tracker decisions waste --where "status = 'finished'" -n 10
      tracker decisions waste --by-experiment --sort -share
    """
    most = limit or None
    with reading(database) as reader:
        ids = queries.runs_or_all(reader, names)
        if by_experiment:
            listing = waste_by_experiment(waste_of_runs(reader, where, ids=ids), sort, most)
        else:
            listing = waste_of_runs(reader, where, sort, most, ids)
    print_listing(listing, form, "runs with a best epoch", spare=_SPARE_WASTE)
