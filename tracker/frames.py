"""What was recorded, as pandas DataFrames.

Every function takes ``database=`` (a path or URL, see `tracker.storage.location.locate`). Runs are named by id,
unique id prefix, name, or name@prefix; no run named means all of them. A column ``run`` holds the run's
name, or name@id where several of those shown have that name. Reading never writes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tracker import queries
from tracker.errors import BadValue
from tracker.queries import Listing
from tracker.storage.database import Reader, reading
from tracker.values import whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tracker.recording.run import Run
    from tracker.series.assemble import Columns

Database = str | os.PathLike[str] | None


def runs(
    where: str | None = None,
    order_by: str | Iterable[str] | None = None,
    limit: int | None = None,
    *,
    database: Database = None,
) -> pd.DataFrame:
    """Return a row a run, newest first.

    Columns: id, name, experiment, status, started, seconds, epochs; the monitored metric and its best,
    restored and last epoch; ended, reason, error, note, parent; then ``tags.x``, ``params.x``, and each
    metric at its best (``metrics.x`` where a column has that name).

    Args:
        where: a filter such as ``"val_loss < 0.3 and params.lr >= 1e-3"``; see `tracker.filters`.
        order_by: one sort key or several: ``"val_loss"`` is best first, ``"-started"`` newest first.
        limit: at most so many rows.
        database: a path or URL.

    Raises:
        WhereError: for a filter or key that cannot be read, with a caret under the place.
    """
    with reading(database) as reader:
        return frame(queries.runs(reader, where, order_by, limit))


def epochs(*runs: str | Run, superseded: bool = False, database: Database = None) -> pd.DataFrame:
    """Return a row an epoch: run, epoch, attempt, seconds, learning_rate, then a column a metric.

    Args:
        *runs: which ones; none for all.
        superseded: also the epochs that a later attempt repeated, marked in a column of that name.
        database: a path or URL.
    """
    with reading(database) as reader:
        return frame(queries.epochs(reader, _ids(reader, runs), superseded=superseded))


def metrics(
    *runs: str | Run,
    names: str | Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    every: int | None = None,
    points: int | None = None,
    superseded: bool = False,
    database: Database = None,
) -> pd.DataFrame:
    """Return step metrics, a row a point: run, name, step, time, value.

    The order is that of the runs, the names, the attempts, and the calls of ``log``; steps may repeat or go
    back. ``run`` and ``name`` are categories. Where a resumed run (or a second ``fit``) has gone back, the
    points of earlier attempts from the metric's first step there on are left out: they are superseded.

    Args:
        *runs: which ones; none for all.
        names: one metric or several; none for all.
        start, stop: steps from ``start`` on and below ``stop``; only their blocks are read.
        every: about one point in so many, for plots: lowest and highest values stay.
        points: at most so many points of each run's metric, in the same way.
        superseded: also superseded points, with two columns more: attempt and superseded.
        database: a path or URL.

    Raises:
        UnknownMetric: for a name that none of the runs has as a step metric.
        BadValue: for names that are none, a number that is not whole, too low, or both ``every`` and ``points``.
    """
    import pandas as pd

    from tracker.series import downsample

    if every is not None and points is not None:
        raise BadValue("Give every= or points=, not both.")
    every = None if every is None else whole(every, "every")
    points = None if points is None else whole(points, "points")
    with reading(database) as reader:
        found = queries.points(
            reader,
            _ids(reader, runs),
            names=names,
            start=start,
            stop=stop,
            superseded=superseded,
        )
    columns = found.columns
    if every is not None:
        columns = _thinned(columns, lambda values: downsample.every(values, every))
    if points is not None:
        columns = _thinned(columns, lambda values: downsample.thin(values, points))
    more = {"attempt": columns.attempt, "superseded": columns.superseded} if superseded else {}
    return pd.DataFrame(
        {
            "run": pd.Categorical.from_codes(columns.run, pd.Index(found.runs)),
            "name": pd.Categorical.from_codes(columns.name, pd.Index(found.names)),
            "step": columns.step,
            "time": pd.DatetimeIndex(columns.time.view("M8[us]")).tz_localize("UTC"),
            "value": columns.value,
            **more,
        },
        copy=False,
    )


def checkpoints(*runs: str | Run, database: Database = None) -> pd.DataFrame:
    """Return a row a checkpoint, oldest first: alias ("best", "last"), state, value, path, file, sha256 …"""
    with reading(database) as reader:
        return frame(queries.checkpoints(reader, _ids(reader, runs)))


def decisions(
    *runs: str | Run, superseded: bool = False, database: Database = None
) -> pd.DataFrame:
    """Return a row a decision: epoch, policy, value, best, best_epoch, wait, verdict, reason …"""
    with reading(database) as reader:
        return frame(queries.decisions(reader, _ids(reader, runs), superseded=superseded))


def compare(*runs: str | Run, metric: str = "val_loss", database: Database = None) -> pd.DataFrame:
    """Return one metric of several runs: the index is the epoch, the columns are called as the runs.

    Args:
        *runs: which ones; none for all that have the metric, oldest first.
        metric: a metric of epochs.
        database: a path or URL.

    Raises:
        UnknownMetric: when none of the runs has it; names those there are.
    """
    import pandas as pd

    with reading(database) as reader:
        called, found = queries.metric_of_runs(reader, _ids(reader, runs), metric)
    epochs = sorted({epoch for curve in found.values() for epoch in curve})
    columns = {called[run]: [curve.get(epoch) for epoch in epochs] for run, curve in found.items()}
    return pd.DataFrame(columns, pd.Index(epochs, dtype="int64", name="epoch"), dtype="float64")


def history(run: str | Run, *, database: Database = None) -> list[dict[str, Any]]:
    """Return the effective epochs of a run as plain data: epoch, seconds, learning_rate, metrics.

    A metric that an epoch has not is not in its ``metrics``; a NaN is. Needs no pandas.
    """
    with reading(database) as reader:
        return queries.history(reader, queries.find_run(reader, named(run)))


def frame(listing: Listing) -> pd.DataFrame:
    """Return a listing as a DataFrame: times as datetime64 in UTC, optional integers as Int64."""
    import pandas as pd

    cells = list(zip(*listing.rows, strict=True)) or [()] * len(listing.columns)
    made = {
        column.name: _MAKERS[column.kind](list(values))
        for column, values in zip(listing.columns, cells, strict=True)
    }
    return pd.DataFrame(made, index=pd.RangeIndex(len(listing.rows)), columns=list(listing.names))


def _ids(reader: Reader, runs: Sequence[str | Run]) -> list[str] | None:
    return queries.find_runs(reader, map(named, runs)) if runs else None


def named(run: str | Run) -> str:
    """Return how a run is named: as it is, or by the id of what has one."""
    found = run if isinstance(run, str) else getattr(run, "id", None)
    if not isinstance(found, str):
        raise BadValue(f"{run!r} is no run: give its id, a prefix of it, its name, or a Run.")
    return found


def _thinned(columns: Columns, keep: Callable[[Any], np.ndarray[Any, Any]]) -> Columns:
    """Thin each run's metric by itself."""
    import numpy as np

    changes = (np.diff(columns.run) != 0) | (np.diff(columns.name) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(columns.value)]
    kept = [
        keep(columns.value[first:last]) + first for first, last in pairwise(bounds) if last > first
    ]
    places = np.concatenate(kept) if kept else np.empty(0, np.intp)
    return columns.at(places)


def _text(values: list[Any]) -> pd.Series[Any]:
    import pandas as pd

    bare = all(value is None for value in values)
    return pd.Series(values, dtype=object) if bare else pd.Series(values)


def _typed(dtype: str) -> Callable[[list[Any]], pd.Series[Any]]:
    def make(values: list[Any]) -> pd.Series[Any]:
        import pandas as pd

        return pd.Series(values, dtype=dtype)

    return make


def _times(values: list[Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    never = np.iinfo(np.int64).min  # how NumPy writes NaT
    whole = np.array([never if value is None else value for value in values], np.int64)
    return pd.Series(pd.DatetimeIndex(whole.view("M8[us]")).tz_localize("UTC"))


_MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "text": _text,
    "integer": _typed("int64"),
    "optional": _typed("Int64"),
    "number": _typed("float64"),
    "time": _times,
    "flag": _typed("bool"),
    "any": _typed("object"),
}
