"""What was recorded, as pandas DataFrames.

Every function takes ``database=`` (a path or URL, see `tracker.storage.location.locate`). A run is given as a
`tracker.Run`, or by its id, a unique prefix of it, its name, or name@prefix; without runs, all are read. The
column ``run`` holds the name of the run, or name@id where several have that name. Reading never writes.

What a column holds decides its dtype, never how many rows there are or which values they lack: whole numbers that
every row has are int64, others Int64; floats are float64; flags bool, or boolean where a row may lack them; times
datetime64[us, UTC]; names and words that repeat (`CATEGORIES`) are categories; params and captured facts of mixed
kinds, lists and dicts are objects. No two columns have one name.
"""

from __future__ import annotations

import gc
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tracker.errors import BadValue
from tracker.queries import api as queries
from tracker.queries.curves import curves
from tracker.queries.pieces import pieces
from tracker.queries.result import Column, Listing
from tracker.storage.database import Reader, reading
from tracker.values import brief, whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from tracker.recording.run import Run
    from tracker.series.assemble import Columns

Database = str | os.PathLike[str] | None

CATEGORIES = (
    "run", "experiment", "status", "monitor", "policy", "rules", "verdict", "state", "alias", "kept",
)  # fmt: skip
"""Columns of text that are categories: the few words or names that there are, each stored once."""


def runs(
    where: str | None = None,
    order_by: str | Iterable[str] | None = None,
    limit: int | None = None,
    *,
    database: Database = None,
) -> pd.DataFrame:
    """Return one row per run, newest first.

    Columns: id, name, experiment, status, started, seconds, epochs; the monitored metric and its best,
    restored and last epoch; ended, reason, error, note, parent; then ``tags.x``, ``params.x``, and each
    metric at its best (``metrics.x`` where a column has that name).

    Args:
        where: a filter such as ``"val_loss < 0.3 and params.lr >= 1e-3"``; see `tracker.filters`.
        order_by: one sort key or several: ``"val_loss"`` is best first, ``"-started"`` newest first.
        limit: how many rows at most.
        database: a path or URL.

    Raises:
        WhereError: for a filter or key that cannot be read, with a caret under the place.
    """
    with reading(database) as reader, _without_garbage_collection():
        return frame(queries.runs(reader, where, order_by, limit))


def epochs(*runs: str | Run, superseded: bool = False, database: Database = None) -> pd.DataFrame:
    """Return one row per epoch: run, epoch, attempt, seconds, learning_rate, then one column per metric.

    Args:
        *runs: of these; without any, of all.
        superseded: also the epochs that a later attempt repeated, marked in a column of that name.
        database: a path or URL.
    """
    with reading(database) as reader:
        ids = _ids(reader, runs)
        with _without_garbage_collection():
            return frame(queries.epochs(reader, ids, superseded=superseded))


def metrics(
    *runs: str | Run,
    names: str | Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    every: int | None = None,
    points: int | None = None,
    superseded: bool = False,
    system: bool = False,
    database: Database = None,
) -> pd.DataFrame:
    """Return step metrics, one row per point: run, name, step, time, value.

    Rows are in the order of the runs, the names, the attempts, and the calls of ``log``; steps may repeat or go
    back. ``run`` and ``name`` are categories. Where a resumed run (or a second ``fit``) repeats steps, the
    points that earlier attempts recorded from there on are superseded, and left out.

    Args:
        *runs: of these; without any, of all.
        names: one metric or several; None for all that the training logged.
        start, stop: steps from ``start`` up to, and without, ``stop``; only their blocks are read.
        every: keep about one point in this many, for plots: lowest and highest values stay.
        points: keep at most this many points of each run's metric, in the same way.
        superseded: also superseded points, with two more columns: attempt and superseded.
        system: without names, also what was measured of the machine: ``system/cpu_percent`` and others, whose
            steps are seconds since the run began.
        database: a path or URL.

    Raises:
        UnknownMetric: for a name that none of the runs has as a step metric.
        BadValue: for a name that is not text, a number that is not whole or is too low, and ``every`` with ``points``.
    """
    from tracker.series import downsample

    if every is not None and points is not None:
        raise BadValue("Give every= or points=, not both.")
    every = None if every is None else whole(every, "every")
    points = None if points is None else whole(points, "points")
    with reading(database) as reader, _without_garbage_collection():
        series = queries.points(
            reader,
            _ids(reader, runs),
            names=names,
            start=start,
            stop=stop,
            superseded=superseded,
            system=system,
        )
    columns = series.columns
    if every is not None:
        columns = _thinned(columns, lambda values: downsample.every(values, every))
    if points is not None:
        columns = _thinned(columns, lambda values: downsample.thin(values, points))
    return points_frame(columns, series.runs, series.names, with_marks=superseded)


def iter_metrics(
    *runs: str | Run,
    names: str | Sequence[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    size: int = 262_144,
    superseded: bool = False,
    system: bool = False,
    database: Database = None,
) -> Iterator[pd.DataFrame]:
    """Yield what `metrics` returns, in its order, in pieces: a run of 100 million points needs little memory.

    A piece holds points of one run: of one metric, or of several short ones. All have the columns and categories of
    `metrics`, so that ``pandas.concat(tracker.iter_metrics(run))`` is the same frame. What is recorded meanwhile is
    not seen; take the pieces without long breaks, as the database keeps what is older until the last one.

    Args:
        *runs, names, start, stop, superseded, system, database: as for `metrics`.
        size: about so many points in a piece, at least a block of 8192.

    Raises:
        UnknownMetric, BadValue: as `metrics` does, when the first piece is asked for.
    """
    with reading(database) as reader:
        found = pieces(
            reader,
            _ids(reader, runs),
            names=names,
            start=start,
            stop=stop,
            superseded=superseded,
            system=system,
            size=size,
        )
        for piece in found:
            yield points_frame(piece.columns, piece.runs, piece.names, with_marks=superseded)


def points_frame(
    columns: Columns, runs: Sequence[str], names: Sequence[str], *, with_marks: bool = False
) -> pd.DataFrame:
    """Return step metrics as a DataFrame; ``with_marks``: also their attempt, and whether they are superseded."""
    import pandas as pd

    marks = {"attempt": columns.attempt, "superseded": columns.superseded} if with_marks else {}
    return pd.DataFrame(
        {
            "run": pd.Categorical.from_codes(columns.run, _words(runs)),
            "name": pd.Categorical.from_codes(columns.name, _words(names)),
            "step": columns.step,
            "time": pd.DatetimeIndex(columns.time.view("M8[us]")).tz_localize("UTC"),
            "value": columns.value,
            **marks,
        },
        copy=False,
    )


def checkpoints(*runs: str | Run, database: Database = None) -> pd.DataFrame:
    """Return one row per checkpoint, oldest first: alias ("best", "last"), state, value, path, file, sha256 …"""
    with reading(database) as reader:
        ids = _ids(reader, runs)
        with _without_garbage_collection():
            return frame(queries.checkpoints(reader, ids))


def decisions(
    *runs: str | Run, superseded: bool = False, database: Database = None
) -> pd.DataFrame:
    """Return one row per decision: epoch, policy, value, best, best_epoch, wait, verdict, reason …"""
    with reading(database) as reader:
        ids = _ids(reader, runs)
        with _without_garbage_collection():
            return frame(queries.decisions(reader, ids, superseded=superseded))


def compare(*runs: str | Run, metric: str = "val_loss", database: Database = None) -> pd.DataFrame:
    """Return one metric of several runs: the index is the epoch, the columns are named after the runs.

    Of a metric that no epoch has, but that was logged by steps, the index is the step.

    Args:
        *runs: these; without any, all that have the metric, oldest first.
        metric: its name.
        database: a path or URL.

    Raises:
        UnknownMetric: when none of the runs has it; names the metrics they have.
    """
    import pandas as pd

    with reading(database) as reader:
        found = curves(reader, _ids(reader, runs), metric)
    places = sorted({place for curve in found.values.values() for place in curve})
    columns = {run: [curve.get(place) for place in places] for run, curve in found.values.items()}
    index = pd.Index(places, dtype="int64", name=found.over)
    return pd.DataFrame(columns, index, dtype="float64")


def history(run: str | Run, *, database: Database = None) -> list[dict[str, Any]]:
    """Return the effective epochs of a run as plain data: epoch, seconds, learning_rate, metrics.

    A metric that an epoch lacks is not in its ``metrics``; a NaN is. Needs no pandas.
    """
    with reading(database) as reader:
        return queries.history(reader, queries.find_run(reader, named(run)))


def frame(listing: Listing) -> pd.DataFrame:
    """Return a listing as a DataFrame, its columns typed by what they hold."""
    import pandas as pd

    series = {
        column.name: _series(column, values)
        for column, values in zip(listing.columns, listing.by_column(), strict=True)
    }
    return pd.DataFrame(series, index=pd.RangeIndex(len(listing.rows)), columns=list(listing.names))


def _series(column: Column, values: Sequence[Any]) -> pd.Series[Any]:
    is_category = column.kind == "text" and column.name in CATEGORIES
    if not is_category:
        return _SERIES_OF[column.kind](values if isinstance(values, array) else list(values))
    words = [value for value in dict.fromkeys(values) if value is not None]
    # Groups of runs come in the order of the rows, others by the alphabet.
    return _categories(values, words if column.name == "run" else sorted(words))


def _ids(reader: Reader, runs: Sequence[str | Run]) -> list[str] | None:
    return queries.find_runs(reader, map(named, runs)) if runs else None


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Build many rows without looking through all of them again and again: they hold no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def named(run: str | Run) -> str:
    """Return the text that names a run: the argument itself, or the id of a `tracker.Run`."""
    name = run if isinstance(run, str) else getattr(run, "id", None)
    if not isinstance(name, str):
        several = isinstance(run, Iterable) and not isinstance(run, bytes)
        advice = " Several runs are several arguments: put a * before them." if several else ""
        raise BadValue(
            f"{brief(run)} is not a run: give its id, a prefix of it, its name, or a Run.{advice}"
        )
    return name


def _thinned(columns: Columns, keep: Callable[[Any], np.ndarray[Any, Any]]) -> Columns:
    """Return the points that ``keep`` selects of each run's metric by itself."""
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

    found: pd.Series[Any] = pd.Series(values, dtype=_text_dtype())
    return found


def _text_dtype() -> Any:
    """Return what this pandas makes of text: ``str`` from 3 on, before that ``object``."""
    import pandas as pd

    return pd.Series([""]).dtype


def _words(words: Sequence[str]) -> pd.Index[Any]:
    import pandas as pd

    return pd.Index(words, dtype=_text_dtype())


def _categories(values: Sequence[str | None], words: Sequence[str]) -> pd.Series[Any]:
    import pandas as pd

    codes = {word: code for code, word in enumerate(words)}
    places = [-1 if value is None else codes[value] for value in values]
    found: pd.Series[Any] = pd.Series(pd.Categorical.from_codes(places, _words(words)))
    return found


def _typed(dtype: str) -> Callable[[Any], pd.Series[Any]]:
    def typed(values: Sequence[Any]) -> pd.Series[Any]:
        import numpy as np
        import pandas as pd

        # NumPy takes an array's memory as it is.
        cells = np.asarray(values) if isinstance(values, array) else values
        return pd.Series(cells, dtype=dtype)

    return typed


def _times(values: list[Any]) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    # How NumPy stores NaT.
    not_a_time = np.iinfo(np.int64).min
    stored = np.array([not_a_time if value is None else value for value in values], np.int64)
    return pd.Series(pd.DatetimeIndex(stored.view("M8[us]")).tz_localize("UTC"))


_SERIES_OF: dict[str, Callable[[Any], pd.Series[Any]]] = {
    "text": _text,
    "integer": _typed("int64"),
    "optional": _typed("Int64"),
    "number": _typed("float64"),
    "time": _times,
    "flag": _typed("bool"),
    "boolean": _typed("boolean"),
    "any": _typed("object"),
}
