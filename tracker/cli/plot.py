"""``tracker plot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from tracker.cli.curves import chart_lines
from tracker.cli.format import visible
from tracker.cli.options import complete_metrics, database_option, runs_argument
from tracker.errors import BadValue
from tracker.exports.picture import in_time_units, save_picture
from tracker.queries import api as queries
from tracker.queries.lines import Axis, Line, lines
from tracker.queries.monitored import most_judged
from tracker.storage.database import Reader, reading

_MOST_POINTS = 4000
"""More points of a line than a picture can show are thinned; the lowest and the highest stay."""


@click.command()
@runs_argument(required=True)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", shell_complete=complete_metrics,
    help="This metric; can be repeated, for a chart each. By default the monitored one.",
)  # fmt: skip
@click.option(
    "--x", "over", type=click.Choice(["epoch", "step", "time"]),
    help="What the horizontal axis is; by default epoch, or step for a metric that was logged by steps.",
)  # fmt: skip
@click.option(
    "--smooth", type=click.FloatRange(0, 1, max_open=True), default=0.0, metavar="WEIGHT",
    help="An exponential moving average as in TensorBoard: 0 is none, 0.9 is a lot.",
)  # fmt: skip
@click.option("--log", "logarithmic", is_flag=True, help="A logarithmic vertical axis.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="A picture: curves.png, curves.svg or curves.pdf, or curves.html for a page.",
)  # fmt: skip
@database_option
def plot(
    names: tuple[str, ...],
    metrics: tuple[str, ...],
    over: Axis | None,
    smooth: float,
    logarithmic: bool,
    output: Path | None,
    database: str | None,
) -> None:
    """Draw metrics of runs: on the terminal, or into a picture with -o.

    The best value is marked, and so are checkpoints, reduced learning rates, the stop, and the epoch whose weights
    were restored. A picture needs the extra plot: pip install 'local-tracker[plot]'.

    \b
    Example:
      tracker plot digits-1 digits-3 --metric val_loss --metric loss
      tracker plot digits-3 --metric batch_loss --smooth 0.9 --log -o curves.png
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names)
        wanted = metrics or (_monitored(reader, ids),)
        charts = [lines(reader, ids, metric, over) for metric in wanted]
    ready = [
        replace(chart, lines=[_ready(line, smooth, logarithmic) for line in chart.lines])
        for chart in map(in_time_units, charts)
    ]
    if output is not None:
        save_picture(ready, output, logarithmic=logarithmic)
        click.echo(f"Written: {visible(str(output))}", err=True)
        return
    for place, chart in enumerate(ready):
        click.echo(
            "\n".join([*([""] if place else []), *chart_lines(chart, logarithmic=logarithmic)])
        )


def _monitored(reader: Reader, ids: Sequence[str]) -> str:
    """Return the metric that most of the runs are judged by."""
    monitors = queries.overview(reader, ids=ids).cells("monitor")
    name = most_judged(monitors)
    if name is None:
        raise BadValue("These runs have no metric to draw yet.")
    return name


def _ready(line: Line, smooth: float, logarithmic: bool) -> Line:
    """Return a line smoothed and thinned; without what a logarithmic axis cannot show."""
    x, y = line.x, line.y
    if smooth:
        import numpy as np

        from tracker.series.smooth import smoothed

        y = smoothed(np.asarray(y, np.float64), smooth).tolist()
    if logarithmic:
        kept = [place for place, value in enumerate(y) if not value <= 0]
        x, y = [x[place] for place in kept], [y[place] for place in kept]
    if len(y) > _MOST_POINTS:
        import numpy as np

        from tracker.series.downsample import thin

        places = thin(np.asarray(y), _MOST_POINTS).tolist()
        x, y = [x[place] for place in places], [y[place] for place in places]
    return replace(line, x=x, y=y)
