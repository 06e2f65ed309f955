"""What was recorded as an Arrow table, for polars, DuckDB and whatever else reads Arrow. Needs pyarrow."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tracker.errors import UsageError
from tracker.exports.stream import (
    Rows,
    RunPoints,
    Stream,
    check_content,
    exported_runs,
    stream_runs,
)
from tracker.queries import api as queries
from tracker.queries.points import Points
from tracker.queries.result import Column
from tracker.storage.database import reading

if TYPE_CHECKING:
    from tracker.recording.run import Run


def arrow(
    *runs: str | Run,
    what: str = "epochs",
    where: str | None = None,
    database: str | os.PathLike[str] | None = None,
) -> Any:
    """Return what was recorded as a ``pyarrow.Table``: what ``tracker export --parquet`` writes.

    The columns are those of `frame_of`. Whole numbers are int64 and flags bool, with nulls where a row has none;
    times are microseconds in UTC; params of mixed kinds, lists and dicts are JSON text. Of step metrics the names
    of runs and metrics are dictionaries, and no point becomes a Python object.

    Args:
        *runs: of these; without any, of all, oldest first.
        what: "epochs" (with the params and tags of their runs), "metrics" (the step metrics), "runs",
            "checkpoints" or "decisions".
        where: only of runs that match this filter.
        database: a path or URL.

    Raises:
        BadValue: for another ``what``.
        UsageError: when pyarrow is not installed.
    """
    check_content(what)
    pa = _pyarrow()
    with reading(database) as reader:
        ids = exported_runs(reader, runs, where)
        if what == "metrics":
            return points_table(queries.points(reader, ids))
        stream = stream_runs(reader, what, ids)
        schema = schema_of(stream)
        chunks = [
            pa.table(arrays(chunk, stream.columns, schema), schema=schema)
            for chunk in stream.chunks
            if chunk and not isinstance(chunk, RunPoints)
        ]
    return pa.concat_tables(chunks) if chunks else schema.empty_table()


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise UsageError(
            "An Arrow table needs pyarrow: pip install 'local-tracker[parquet]'."
        ) from error
    return pyarrow


def schema_of(stream: Stream) -> Any:
    """Return the Arrow schema of what is exported."""
    pa = _pyarrow()
    types = {
        "text": pa.string(),
        "any": pa.string(),
        "integer": pa.int64(),
        "optional": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(column.name, types[column.kind]) for column in stream.columns])


def arrays(chunk: Rows, columns: Sequence[Column], schema: Any) -> list[Any]:
    """Return rows as Arrow arrays, one per column."""
    pa = _pyarrow()
    cells = zip(*chunk, strict=True)
    return [
        pa.array(_texts(values) if column.kind == "any" else values, field.type, from_pandas=False)
        for values, column, field in zip(cells, columns, schema, strict=True)
    ]


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]


def points_table(series: Points) -> Any:
    """Return step metrics straight from their columns; the names of runs and metrics are dictionaries."""
    pa = _pyarrow()
    columns = series.columns

    def words(codes: Any, names: Sequence[str]) -> Any:
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(names, pa.string())
        )

    return pa.table(
        {
            "run": words(columns.run, series.runs),
            "name": words(columns.name, series.names),
            "step": pa.array(columns.step, pa.int64()),
            "time": pa.array(columns.time, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "value": pa.array(columns.value, pa.float64()),
        }
    )
