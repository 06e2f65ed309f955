"""Parquet, through pyarrow (``pip install 'local-tracker[parquet]'``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracker.errors import UsageError
from tracker.exports.arrow import arrays, points_table, schema_of
from tracker.exports.stream import POINT_COLUMNS, RunPoints, Stream


def write_parquet(stream: Stream, path: Path, *, step: Callable[[], object] | None = None) -> None:
    """Write a stream to a file, one row group per chunk; ``step`` is called after each.

    Of step metrics a row group is about a quarter of a million points. Times are microseconds in UTC; params of
    mixed kinds, lists and dicts are JSON text.

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
    schema = schema_of(stream)
    options: dict[str, Any] = {}
    if stream.columns == POINT_COLUMNS:
        # Names are handed over as dictionaries, which cost a third; in the file they are text.
        schema = pa.schema([(name, _words(pa, schema.field(name).type)) for name in schema.names])
        options = {"store_schema": False, "use_dictionary": ["run", "name"]}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for chunk in stream.chunks:
            if isinstance(chunk, RunPoints):
                for piece in chunk.pieces:
                    writer.write_table(points_table(piece))
            elif chunk:
                writer.write_table(pa.table(arrays(chunk, stream.columns, schema), schema=schema))
            if step is not None:
                step()


def _words(pa: Any, of: Any) -> Any:
    return pa.dictionary(pa.int32(), of) if of == pa.string() else of
