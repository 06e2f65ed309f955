"""The table of runs: rows by pages, groups, names for completion, small curves."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response

from tracker.errors import BadValue
from tracker.filters.names import sort_keys
from tracker.filters.parser import WORDS, parse_order
from tracker.filters.tree import FUNCTIONS
from tracker.queries import api as queries
from tracker.queries.curves import monitored_curves
from tracker.queries.groups import groups
from tracker.queries.result import Column, Listing
from tracker.queries.runs import COLUMNS
from tracker.queries.totals import totals
from tracker.queries.waste import by_experiment, waste
from tracker.series.downsample import thin
from tracker.storage.database import Reader
from tracker.values import brief
from tracker.web.answers import Rows, answer, rows_of, table
from tracker.web.problems import PROBLEMS
from tracker.web.site import Site

MOST_ROWS = 1000
MOST_SPARKS = 200
_SPARK_POINTS = 48
_MOST_READ = 500
"""Points of a long curve that those are chosen from."""
_OWN = frozenset(column.name for column in COLUMNS)

Where = Annotated[
    str | None, Query(description="A filter, as `tracker runs list --where` takes it.")
]
Sort = Annotated[
    str | None, Query(description="Sort keys, as `tracker runs list --sort` takes them.")
]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="At most so many rows.")]
Ids = Annotated[str | None, Query(description="Runs by id, unique prefix or name, with commas.")]


def names_in(text: str | None) -> list[str]:
    """Return the names in a list with commas."""
    return [name for part in (text or "").split(",") if (name := part.strip())]


def routes(site: Site) -> APIRouter:
    """Return the routes that list runs."""
    router = APIRouter(tags=["runs"], responses=PROBLEMS)

    @router.get("/info", summary="Which database this is, and how much it holds")
    def info() -> Response:
        with site.reading() as reader:
            counts = {} if reader.empty else totals(reader)
            return answer(
                {
                    "version": _release(),
                    "database": str(site.location),
                    "read_only": site.read_only,
                    "totals": counts,
                }
            )

    @router.get("/runs", summary="Runs, one row each", response_model=Rows)
    def list_runs(
        where: Where = None,
        sort: Sort = None,
        limit: Limit = 100,
        offset: Annotated[int, Query(ge=0, description="Leave out the first rows.")] = 0,
        runs: Ids = None,
    ) -> Response:
        """`total` is the number of runs that match; `varying` names columns whose values differ in these rows."""
        with site.reading() as reader:
            ids = queries.find_runs(reader, names_in(runs)) if runs is not None else None
            listing = queries.runs(
                reader, where or None, sort or None, limit, ids, with_total=True, offset=offset
            )
        return table(listing, varying=_varying(listing))

    @router.get(
        "/groups", summary="How many runs there are per value of a field", response_model=Rows
    )
    def list_groups(
        by: Annotated[str, Query(description="A field, such as experiment or params.lr.")],
        where: Where = None,
        judged: Annotated[
            bool, Query(description="Also the best run of each, its mean and its spread; slower.")
        ] = False,
        limit: Limit = MOST_ROWS,
    ) -> Response:
        """`value` is that of the field; the group with the newest run comes first."""
        if len(parse_order(by)) != 1:
            raise BadValue(f"by is {brief(by)}: name one field, such as experiment or params.lr.")
        with site.reading() as reader:
            found = groups(reader, by, where or None, limit=limit, judged=judged)
        value, *others = found.columns
        return table(Listing((Column("value", value.kind), *others), found.rows))

    @router.get("/fields", summary="The names and words that a filter or sort key may hold")
    def list_fields() -> Response:
        with site.reading() as reader:
            names = sort_keys(reader, "runs")
        return answer({"names": names, "functions": FUNCTIONS, "words": WORDS})

    @router.get("/sparklines", summary="The monitored metric of each run, in few points")
    def list_sparklines(runs: str) -> Response:
        """By id: the metric's name, epochs and values; of a run without epochs, or that is gone, nothing."""
        with site.reading() as reader:
            return answer(_sparklines(reader, names_in(runs)[:MOST_SPARKS]))

    @router.get("/waste", summary="What came after the best epoch", response_model=Rows)
    def list_waste(where: Where = None, sort: Sort = None, limit: Limit = 100) -> Response:
        """One row per run; `experiments` has the same per experiment."""
        with site.reading() as reader:
            everything = waste(reader, where or None)
            grouped = by_experiment(everything)
            listing = waste(reader, where or None, sort, limit) if sort else everything.first(limit)
        return table(listing, experiments=rows_of(grouped))

    return router


def _release() -> str | None:
    """Return the release that is installed; None in a checkout that is not."""
    try:
        return metadata.version("local-tracker")
    except metadata.PackageNotFoundError:
        return None


def _varying(listing: Listing) -> list[str]:
    """Return the columns beyond `COLUMNS` that tell these rows apart."""
    if len(listing.rows) < 2:
        return [name for name in listing.names if name.startswith(("params.", "tags."))]
    found = []
    for place, name in enumerate(listing.names):
        first = listing.rows[0][place]
        if name not in _OWN and any(row[place] != first for row in listing.rows):
            found.append(name)
    return found


def _sparklines(reader: Reader, ids: list[str]) -> dict[str, Any]:
    curves = monitored_curves(reader, queries.overview(reader, ids=ids), _MOST_READ)
    found: dict[str, Any] = {}
    for run, curve in curves.items():
        epochs, values = list(curve.values), np.array(list(curve.values.values()), float)
        places = thin(values, _SPARK_POINTS)
        found[run] = {
            "metric": curve.metric,
            "x": [epochs[place] for place in places],
            "y": values[places].tolist(),
        }
    return found
