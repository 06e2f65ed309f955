"""Parquet, through pyarrow (``pip install 'local-tracker[parquet]'``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracker.errors import UsageError
from tracker.exports.arrow import arrays, schema_of
from tracker.exports.stream import Stream


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
    schema = schema_of(stream)
    with pq.ParquetWriter(path, schema) as writer:
        for chunk in stream.chunks:
            if chunk:
                writer.write_table(pa.table(arrays(chunk, stream.columns, schema), schema=schema))
            if step is not None:
                step()
