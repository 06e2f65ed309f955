"""``tracker metrics``."""

from __future__ import annotations

import click

from tracker.cli.names_in_use import names_command
from tracker.cli.program import Group
from tracker.queries.names_in_use import metrics_in_use


@click.group(cls=Group)
def metrics() -> None:
    """List the metrics that were logged.

    \b
    Example:
      tracker metrics list digits-3
    """


metrics.add_command(
    names_command(
        "metrics",
        """List metrics: per epoch or step, which way is better, how many runs have them, which run is best.

        Without RUN, the metrics of all runs are listed.

        \b
        Example:
          tracker metrics list --where "experiment = 'digits'" --sort -runs
        """,
        metrics_in_use,
        spare=("logged", "max", "min"),
    )
)
