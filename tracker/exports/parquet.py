"""Parquet, through pyarrow (``pip install 'local-tracker[parquet]'``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tracker.errors import UsageError
from tracker.exports.stream import Stream
from tracker.queries import Column


def write_parquet(stream: Stream, path: Path, *, step: Callable[[], object] | None = None) -> None:
    """Write a stream to a file, one row group per chunk; ``step`` is called after each.

    Times are microseconds in UTC; params of mixed kinds, lists and dicts are JSON text.

    Raises:
        UsageError: when pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'local-tracker[parquet]', or use --csv or --json."
        ) from error
    types = {
        "text": pa.string(),
        "any": pa.string(),
        "integer": pa.int64(),
        "optional": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(column.name, types[column.kind]) for column in stream.columns])
    with pq.ParquetWriter(path, schema) as writer:
        for chunk in stream.chunks:
            if chunk:
                writer.write_table(pa.table(_arrays(chunk, stream.columns, schema), schema=schema))
            if step is not None:
                step()


def _arrays(chunk: Sequence[Sequence[Any]], columns: Sequence[Column], schema: Any) -> list[Any]:
    import pyarrow as pa

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
