"""JSON: one array with an object per row; the keys are the names of the columns."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from tracker.exports.cells import finite, json_cell
from tracker.exports.point_lines import lines
from tracker.exports.stream import RunPoints, Stream

_CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def write_json(stream: Stream, file: IO[str], *, step: Callable[[], object] | None = None) -> None:
    """Write a stream, one object per line; ``step`` is called after each chunk.

    Control characters are escaped, which reads back as the same text; so is, in a file that is not UTF-8,
    everything that is not ASCII.
    """
    encode = json.JSONEncoder(ensure_ascii=not takes_unicode(file), allow_nan=False).encode
    columns, names = stream.columns, stream.names
    between = "[\n"
    for chunk in stream.chunks:
        if isinstance(chunk, RunPoints):
            for text in _of_points(chunk, encode):
                file.write(between + text)
                between = ",\n"
        for row in () if isinstance(chunk, RunPoints) else chunk:
            cells = map(json_cell, row, columns)
            text = encode(dict(zip(names, cells, strict=True)))
            file.write(between + _CONTROLS.sub(_escaped, text))
            between = ",\n"
        if step is not None:
            step()
    file.write("\n]\n" if between != "[\n" else "[]\n")


def _of_points(points: RunPoints, encode: Callable[[object], str]) -> Iterator[str]:
    """Yield objects, some thousand in a text."""

    def head(run: str, name: str) -> str:
        return _CONTROLS.sub(_escaped, encode({"run": run, "name": name})[:-1])

    def line(begin: str, cells: Iterable[tuple[int, str, str]]) -> Iterator[str]:
        return (
            f'{begin}, "step": {step}, "time": "{time}", "value": {value}}}'
            for step, time, value in cells
        )

    for some in lines(points, head, line, lambda value: encode(finite(value))):
        yield ",\n".join(some)


def takes_unicode(file: IO[str]) -> bool:
    """Return whether a text file takes every letter as it is; one in memory does."""
    encoding = getattr(file, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name == "utf-8"


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
