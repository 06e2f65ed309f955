"""JSON: one array of objects, a row each, with the columns' names as keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import IO

from tracker.exports.cells import json_cell
from tracker.exports.stream import Stream


def write_json(stream: Stream, file: IO[str], *, step: Callable[[], object] | None = None) -> None:
    """Write a stream, one object a line; ``step`` is called after each chunk."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    columns, names = stream.columns, stream.names
    between = "[\n"
    for chunk in stream.chunks:
        for row in chunk:
            cells = map(json_cell, row, columns)
            file.write(between + encode(dict(zip(names, cells, strict=True))))
            between = ",\n"
        if step is not None:
            step()
    file.write("\n]\n" if between != "[\n" else "[]\n")
