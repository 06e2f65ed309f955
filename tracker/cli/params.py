"""``tracker params``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from tracker.cli.format import parameter
from tracker.cli.names_in_use import names_command
from tracker.cli.program import Group
from tracker.queries.names_in_use import params_in_use
from tracker.queries.result import Listing


@click.group(cls=Group)
def params() -> None:
    """List the params of runs, and their values.

    \b
    Example:
      tracker params list --where "experiment = 'digits'"
    """


def _with_values_as_text(listing: Listing) -> Listing:
    """Write the values behind each other, as far as there is room."""
    columns = [
        replace(column, kind="text") if column.name == "values" else column
        for column in listing.columns
    ]
    rows = ({**row, "values": _values(row)} for row in listing.dicts())
    return Listing.from_dicts(tuple(columns), rows)


def _values(row: dict[str, Any]) -> str:
    more = " …" if row["different"] > len(row["values"]) else ""
    return ", ".join(map(parameter, row["values"])) + more


params.add_command(
    names_command(
        "params",
        """List params: how many runs have them, and which values.

        Without RUN, the params of all runs are listed. Of many values the most frequent are shown.

        \b
        Example:
          tracker params list --where "experiment = 'digits'" --sort -different
        """,
        params_in_use,
        for_people=_with_values_as_text,
        spare=("max", "min"),
    )
)
