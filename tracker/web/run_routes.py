"""One run, and several beside each other: sentences, epochs, decisions, files, attempts, curves, what differs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from tracker.errors import BadValue
from tracker.exports.cells import with_iso_times
from tracker.queries import api as queries
from tracker.queries.compare import compare
from tracker.queries.curves import curves
from tracker.queries.details import Details, details
from tracker.queries.run_sentences import ending, pending_in, weights_held
from tracker.storage.database import Reader
from tracker.web.answers import Rows, answer, as_recorded, local, rows_of, table
from tracker.web.curves import curve
from tracker.web.listing_routes import names_in
from tracker.web.problems import PROBLEMS
from tracker.web.site import Site

MOST_COMPARED = 100


def routes(site: Site) -> APIRouter:
    """Return the routes about runs by name."""
    router = APIRouter(tags=["one run"], responses=PROBLEMS)

    @router.get("/runs/{run:name}", summary="Everything about one run")
    def show_run(run: str) -> Response:
        """`sentences` say first why it ended and which weights it holds."""
        with site.reading() as reader:
            return answer(_whole(details(reader, queries.find_run(reader, run))))

    @router.get("/runs/{run:name}/epochs", summary="Epochs and their metrics", response_model=Rows)
    def list_epochs(run: str, superseded: bool = False) -> Response:
        with site.reading() as reader:
            ids = [queries.find_run(reader, run)]
            return table(queries.epochs(reader, ids, superseded=superseded))

    @router.get(
        "/runs/{run:name}/decisions", summary="What callbacks decided, and why", response_model=Rows
    )
    def list_decisions(run: str, superseded: bool = False) -> Response:
        with site.reading() as reader:
            ids = [queries.find_run(reader, run)]
            return table(queries.decisions(reader, ids, superseded=superseded))

    @router.get(
        "/runs/{run:name}/checkpoints", summary="Saved files of one run", response_model=Rows
    )
    def list_checkpoints(run: str) -> Response:
        with site.reading() as reader:
            return table(queries.checkpoints(reader, [queries.find_run(reader, run)]))

    @router.get("/runs/{run:name}/attempts", summary="The processes that recorded a run")
    def list_attempts(run: str) -> Response:
        with site.reading() as reader:
            found = details(reader, queries.find_run(reader, run))
        return answer([with_iso_times(attempt) for attempt in found.attempts])

    @router.get("/checkpoints", summary="Saved files of all runs", response_model=Rows)
    def list_all_checkpoints(
        where: str | None = None,
        sort: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        with site.reading() as reader:
            listing = queries.checkpoints(
                reader, where=where or None, order_by=sort or "-created", limit=limit
            )
        return table(listing)

    @router.get(
        "/runs/{run:name}/series",
        summary="A step metric, as many points as a chart can show",
        responses={200: {"content": {"application/octet-stream": {}}}},
        response_class=Response,
    )
    def show_series(
        run: str,
        name: str,
        x: Literal["step", "time"] = "step",
        start: Annotated[float | None, Query(alias="from")] = None,
        stop: Annotated[float | None, Query(alias="to")] = None,
        points: Annotated[int, Query(description="At most about so many.")] = 2000,
        ema: Annotated[float, Query(description="Weight of the past, 0 … 1.")] = 0.0,
        scale: Annotated[
            Literal["linear", "log"],
            Query(description="log: each doubling of the step gets as many points."),
        ] = "linear",
    ) -> Response:
        """Little-endian doubles: x, y, then x and y of NaN and infinities.

        `X-Points` and `X-Odd` say how many, `X-Total` how many points the range holds, `X-First` and `X-Last` where
        the whole series begins and ends. A range with few points comes whole, each as it was logged.
        """
        with site.reading() as reader:
            found = curve(
                reader, site.blocks, queries.find_run(reader, run), name,
                times=x == "time", start=start, stop=stop, points=points, ema=ema, log=scale == "log",
            )  # fmt: skip
        heads = {
            "X-Points": str(len(found.x)),
            "X-Odd": str(len(found.odd_x)),
            "X-Total": str(found.total),
            "X-First": "" if found.first is None else repr(found.first),
            "X-Last": "" if found.last is None else repr(found.last),
        }
        return Response(found.packed(), media_type="application/octet-stream", headers=heads)

    @router.get("/compare", summary="Runs beside each other: what differs, and each metric")
    def compare_runs(runs: str) -> Response:
        with site.reading() as reader:
            found = compare(reader, _several(reader, runs))
        return answer(
            {
                "runs": [
                    {**with_iso_times(row), "label": label} for label, row in found.runs.items()
                ],
                "differing": found.params,
                "same": found.same,
                "metrics": {
                    name: [None if one is None else asdict(one) for one in values]
                    for name, values in found.metrics.items()
                },
            }
        )

    @router.get(
        "/curves",
        summary="One metric of several runs, epoch by epoch, or step by step where no epoch has it",
    )
    def show_curves(runs: str, metric: str, x: Literal["epoch", "time"] = "epoch") -> Response:
        """By id: x (epochs, seconds of training, or steps) and y."""
        with site.reading() as reader:
            ids = _several(reader, runs)
            found = curves(reader, ids, metric)
            called = queries.labels(reader.connection, ids)
            clock = _seconds(reader, ids) if x == "time" and found.over == "epoch" else {}
        return answer({run: _columns(found.values[called[run]], clock.get(run)) for run in ids})

    return router


def _columns(points: dict[int, float], clock: dict[int, float] | None) -> dict[str, list[float]]:
    """Return a curve as two columns; ``clock`` has the x of each epoch where it is not the epoch itself."""
    x = [place if clock is None else clock[place] for place in points]
    return {"x": x, "y": list(points.values())}


def _several(reader: Reader, runs: str) -> list[str]:
    ids = queries.find_runs(reader, names_in(runs))
    if not 1 <= len(ids) <= MOST_COMPARED:
        raise BadValue(f"{len(ids)} runs are named: name from 1 to {MOST_COMPARED}, with commas.")
    return ids


def _seconds(reader: Reader, ids: list[str]) -> dict[str, dict[int, float]]:
    """Return when each epoch ended, in seconds of training."""
    called = {run: run for run in ids}
    clock: dict[str, dict[int, float]] = {run: {} for run in ids}
    passed = dict.fromkeys(ids, 0.0)
    for row in queries.epochs(reader, ids, called=called).dicts():
        run = row["run"]
        passed[run] += row["seconds"]
        clock[run][row["epoch"]] = passed[run]
    return clock


def _whole(found: Details) -> dict[str, Any]:
    held = weights_held(found, as_recorded)
    return {
        "sentences": [
            ending(found, as_recorded, local),
            *([] if held is None else [held]),
            *(pending_in(file, as_recorded) for file in found.waiting),
        ],
        "run": with_iso_times(found.run),
        "params": found.params,
        "tags": found.tags,
        "metrics": found.metrics,
        "attempts": [with_iso_times(attempt) for attempt in found.attempts],
        "policies": found.policies,
        "checkpoints": rows_of(found.checkpoints),
        "superseded": found.superseded,
        "points": found.points,
        "last_points": found.last_points,
        "system": {name: asdict(one) for name, one in found.system.items()},
        "energy_joules": found.energy_joules,
        "price_per_hour": found.price_per_hour,
        "cost": found.cost,
        "children": found.children,
        "parent": found.parent,
        "stop": None if found.stop is None else with_iso_times(found.stop),
        "held_epoch": found.held_epoch,
        "pending": [{"path": str(file.path), "records": file.records} for file in found.waiting],
    }
