"""``tracker decisions replay`` and ``tracker decisions waste``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tracker import queries
from tracker.cli.options import (
    children_option,
    database_option,
    format_option,
    listing_options,
    runs_argument,
)
from tracker.cli.render import Table, on_terminal, print_listing, show
from tracker.errors import BadValue
from tracker.policies import MODES, RULES
from tracker.queries import Column, Listing
from tracker.queries.listing import listing_of
from tracker.queries.waste import by_experiment as grouped
from tracker.queries.waste import waste as wasted
from tracker.replays.settings import POLICIES, as_patiences
from tracker.storage.database import reading

if TYPE_CHECKING:
    from tracker.replays.early_stopping import Outcome
    from tracker.replays.tradeoff import Point

_ROWS = {"ReduceLROnPlateau": "reductions", "ModelCheckpoint": "files"}


class Patiences(click.ParamType[list[int]]):
    """Whole numbers: ``5``, ``1,3,5`` or ``1..20``."""

    name = "N|N,N…|N..N"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        """Read the numbers."""
        if isinstance(value, list):
            return value
        try:
            low, dots, high = str(value).partition("..")
            if dots:
                found: Sequence[int] = range(int(low), int(high) + 1)
            else:
                found = [int(part) for part in str(value).split(",")]
        except ValueError:
            found = []
        if not found:
            self.fail(f"{value!r} is no patience: write 5, 1,3,5 or 1..20.", param, ctx)
        try:
            return as_patiences(found) or []
        except BadValue as error:
            self.fail(str(error), param, ctx)


@click.command()
@runs_argument()
@children_option
@click.option("--where", metavar="FILTER", help="Of the runs, those that this filter leaves.")
@click.option(
    "--patience", type=Patiences(), help="What to try; the run's own by default, 1..20 for a curve."
)
@click.option("--min-delta", type=float, help="What an improvement must exceed.")
@click.option("--monitor", metavar="METRIC", help="Another metric than the run's callback had.")
@click.option("--mode", type=click.Choice(MODES))
@click.option("--baseline", type=float, help="What the first improvements must beat.")
@click.option("--start-from-epoch", type=int, help="Epochs before it are not judged.")
@click.option("--rules", type=click.Choice(RULES), help="Those of the run by default.")
@click.option("--policy", type=click.Choice(POLICIES), default=POLICIES[0], show_default=True)
@click.option("--factor", type=float, help="Of ReduceLROnPlateau.")
@click.option("--cooldown", type=int, help="Of ReduceLROnPlateau.")
@click.option(
    "--keep", type=click.IntRange(min=0), help="Of ModelCheckpoint: how many best files stay."
)
@click.option(
    "--curve", is_flag=True, help="Sum up over the runs: compute saved against metric lost."
)
@click.option("--png", type=click.Path(dir_okay=False), help="Draw that curve into a file.")
@format_option
@database_option
def replay(
    names: tuple[str, ...], children: bool, where: str | None, policy: str, curve: bool, png: str | None,
    form: str, database: str | None, patience: list[int] | None, **asked: Any,
) -> None:  # fmt: skip
    """Say what a callback would have done with other settings, over what was recorded.

    A replay can only shorten a run: epochs that were never trained have no value. Every setting that
    is not given is the run's own. Of several EarlyStoppings that is the one that looks at --monitor;
    without it the one that stopped the run, else the first. Runs without epochs are left out; so are
    runs without the metric that were not named.

    \b
    Example:
      tracker decisions replay digits-3 --patience 5 --min-delta 0.001
      tracker decisions replay --where "experiment = 'digits'" --patience 1..20 --curve
      tracker decisions replay digits-3 --policy ModelCheckpoint --keep 3
    """
    from tracker.replays import api, early_stopping

    given = {**asked, "patience": patience, "curve": curve, "png": png}
    api.check(policy, given, lambda name: "--" + name.replace("_", "-"))
    if patience is None and (curve or png):
        patience = list(range(1, 21))
    with reading(database) as reader:
        ids, left = api.chosen(reader, names, where, children=children)
        if curve or png:
            outcomes = early_stopping.outcomes(reader, ids, patience, asked, left)
        else:
            listing = api.replayed(reader, ids, policy, patience, asked, left)
        said = left.said(reader, ids)
    if said is not None:
        click.echo(f"{said}.", err=True)
    if curve or png:
        _print_curve(outcomes, form, png)
    elif policy == POLICIES[0]:
        _print_outcomes(listing, form)
    else:
        print_listing(listing, form, _ROWS[policy])


def _print_outcomes(listing: Listing, form: str) -> None:
    spare = ("rules", "min_delta", "own_best_epoch", "own_best", "monitor")
    show(listing, form, Table(listing, spare=spare, keep=("stop_epoch",)))
    if form == "table":
        unstopped = sum(row["stop_epoch"] is None for row in listing.dicts())
        if not listing.rows:
            click.echo("No runs with epochs.", err=True)
        elif unstopped:
            click.echo(
                f"{unstopped} of {len(listing.rows)} would not have stopped within what was recorded; "
                f"what later epochs would have brought nobody knows.",
                err=True,
            )


def _print_curve(outcomes: list[Outcome], form: str, png: str | None) -> None:
    from tracker.replays.tradeoff import Point, tradeoff

    points = tradeoff(outcomes)
    listing = listing_of(Point, points)
    marked = (*listing.columns[:-1], Column("knee", "text"))
    rows = [[*row[:-1], "knee" if row[-1] else None] for row in listing.rows]
    show(listing, form, Table(Listing(marked, rows)))
    if form == "table" and on_terminal():
        _plot(points)
    if png is not None:
        from tracker.replays.plots import save_tradeoff

        save_tradeoff(points, png)
        click.echo(f"Written: {png}", err=True)


def _plot(points: list[Point]) -> None:
    from tracker.replays.plots import terminal_tradeoff

    try:
        click.echo(terminal_tradeoff(points))
    except ModuleNotFoundError:
        click.echo("For a plot here: pip install 'local-tracker[plot]'", err=True)


@click.command()
@runs_argument()
@click.option("--by-experiment", is_flag=True, help="Sum up for each experiment.")
@listing_options
def waste(
    names: tuple[str, ...], by_experiment: bool, where: str | None, sort: str | None,
    limit: int | None, form: str, database: str | None,
) -> None:  # fmt: skip
    """Show epochs and seconds that runs spent after their best epoch; the most wasteful first.

    \b
    Example:
      tracker decisions waste --where "status = 'finished'" -n 10
      tracker decisions waste --by-experiment --sort -share
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        most = limit or None
        if by_experiment:
            listing = grouped(wasted(reader, where, ids=ids), sort, most)
        else:
            listing = wasted(reader, where, sort, most, ids)
    print_listing(listing, form, "runs with a best epoch")
