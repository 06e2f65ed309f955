"""JSON: one array of objects, a row each, with the columns' names as keys."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import IO

from tracker.exports.cells import json_cell
from tracker.exports.stream import Stream

_CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def write_json(stream: Stream, file: IO[str], *, step: Callable[[], object] | None = None) -> None:
    """Write a stream, one object a line; ``step`` is called after each chunk.

    What would steer a terminal is escaped, which reads back as the same text; in a file that is not
    UTF-8, all that is not ASCII.
    """
    encode = json.JSONEncoder(ensure_ascii=not takes_unicode(file), allow_nan=False).encode
    columns, names = stream.columns, stream.names
    between = "[\n"
    for chunk in stream.chunks:
        for row in chunk:
            cells = map(json_cell, row, columns)
            text = encode(dict(zip(names, cells, strict=True)))
            file.write(between + _CONTROLS.sub(_escaped, text))
            between = ",\n"
        if step is not None:
            step()
    file.write("\n]\n" if between != "[\n" else "[]\n")


def takes_unicode(file: IO[str]) -> bool:
    """Say whether every letter can be written to a text file as it is; in memory, it can."""
    encoding = getattr(file, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name == "utf-8"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
