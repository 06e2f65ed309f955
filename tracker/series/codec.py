"""Step metrics as compressed columns: the bytes of one block.

A block is some thousand consecutive calls of ``log``. Its steps and times (µs since 1970) are one
payload, its *clock*; the values of each name are another, with the calls that had it where not every
call up to its last did. Names that few of the calls had share a payload, the points of one name after
those of the other; which names those are, and how many points each has, are its *members*.

Values are doubles, stored in single precision where that loses no bit. Compression is pcodec's
(https://github.com/pcodec/pcodec), lossless, NaN payloads and the sign of -0.0 included.

A payload is a header, then one or two sections. The header: magic, version, flags, number of
points, length of the first section, CRC-32 of everything else.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, DeltaSpec, ModeSpec
from pcodec.standalone import simple_compress, simple_decompress_into

VERSION = 1
MAGIC = b"TS"
BLOCK_CALLS = 8192  # so that a row in a block fits into 16 bits

CLOCK, SINGLE, SPARSE, FIRST_RAW, SECOND_RAW, MEMBERS = 1, 2, 4, 8, 16, 32

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.uint16]

_HEADER = struct.Struct("<2sBBIII")
_VALUES = ChunkConfig(compression_level=5)
_TIMES = ChunkConfig(
    compression_level=5,
    mode_spec=ModeSpec.classic(),
    delta_spec=DeltaSpec.try_consecutive(1),
)


def encode_clock(steps: Ints, times: Ints) -> bytes:
    """Encode the steps and times of up to `BLOCK_CALLS` calls."""
    first, second = _packed(steps, _TIMES, FIRST_RAW), _packed(times, _TIMES, SECOND_RAW)
    return _framed(CLOCK, len(steps), first, second)


def decode_clock(payload: bytes) -> tuple[Ints, Ints]:
    """Return ``(steps, times)``.

    Raises:
        ValueError: for bytes that are damaged, cut short, or of a newer version.
    """
    flags, count, first, second = _clock_unframed(payload)
    steps, times = np.empty(count, np.int64), np.empty(count, np.int64)
    _unpack(first, flags & FIRST_RAW, steps)
    _unpack(second, flags & SECOND_RAW, times)
    return steps, times


def decode_steps(payload: bytes) -> Ints:
    """Return the steps of a clock alone, which take a fraction of what the times take.

    Raises:
        ValueError: as `decode_clock` does.
    """
    flags, count, first, _ = _clock_unframed(payload)
    steps = np.empty(count, np.int64)
    _unpack(first, flags & FIRST_RAW, steps)
    return steps


def _clock_unframed(payload: bytes) -> tuple[int, int, bytes, bytes]:
    flags, count, first, second = _unframed(payload)
    if not flags & CLOCK:
        raise ValueError("These are the values of a series, not the steps and times of a block.")
    return flags, count, first, second


def encode_members(series: Ints, counts: Ints) -> bytes:
    """Encode the ids of the series that share a payload, and how many points each has there."""
    first, second = _packed(series, _TIMES, FIRST_RAW), _packed(counts, _TIMES, SECOND_RAW)
    return _framed(MEMBERS, len(series), first, second)


def decode_members(payload: bytes) -> tuple[Ints, Ints]:
    """Return ``(series, counts)``.

    Raises:
        ValueError: for bytes that are damaged, cut short, or of a newer version.
    """
    flags, count, first, second = _unframed(payload)
    if not flags & MEMBERS:
        raise ValueError("These are points, not the names that share a block.")
    series, counts = np.empty(count, np.int64), np.empty(count, np.int64)
    _unpack(first, flags & FIRST_RAW, series)
    _unpack(second, flags & SECOND_RAW, counts)
    return series, counts


def encode_values(values: Floats, rows: npt.NDArray[Any] | None = None) -> bytes:
    """Encode one series' values in a block, and the ``rows`` of its clock that they belong to.

    Without ``rows`` they belong to the block's first calls, one each.
    """
    flags = 0
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
        exact = (single.astype(np.float64).view(np.int64) == values.view(np.int64)).all()
    second = _packed(single if exact else values, _VALUES, SECOND_RAW)
    first: tuple[bytes, int] = b"", 0
    if rows is not None:
        flags |= SPARSE
        first = _packed(rows.astype(np.uint16), _TIMES, FIRST_RAW)
    return _framed(flags | (SINGLE if exact else 0), len(values), first, second)


def decode_values(payload: bytes) -> tuple[Rows | None, Floats]:
    """Return ``(rows, values)``; rows are None where the values are those of the first calls.

    Raises:
        ValueError: for bytes that are damaged, cut short, or of a newer version.
    """
    flags, count, first, second = _unframed(payload)
    if flags & (CLOCK | MEMBERS):
        what = "steps and times of a block" if flags & CLOCK else "names that share a block"
        raise ValueError(f"These are the {what}, not the values of a series.")
    rows = None
    if flags & SPARSE:
        rows = np.empty(count, np.uint16)
        _unpack(first, flags & FIRST_RAW, rows)
    values = np.empty(count, np.float32 if flags & SINGLE else np.float64)
    _unpack(second, flags & SECOND_RAW, values)
    return rows, values.astype(np.float64, copy=False)


def _packed(array: npt.NDArray[Any], config: Any, raw: int) -> tuple[bytes, int]:
    """Return compressed bytes and 0; or the plain bytes and the flag ``raw``, where they are not larger."""
    array = np.ascontiguousarray(array)
    packed: bytes = simple_compress(array, config) if len(array) else b""
    if len(array) and len(packed) < array.nbytes:
        return packed, 0
    return array.astype(array.dtype.newbyteorder("<")).tobytes(), raw


def _unpack(section: bytes, raw: int, out: npt.NDArray[Any]) -> None:
    if raw:
        out[:] = np.frombuffer(section, out.dtype.newbyteorder("<"))
        return
    try:
        done = simple_decompress_into(section, out)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"A section of a series block cannot be decompressed: {error}") from error
    if done.n_processed != len(out) or not done.finished:
        raise ValueError(f"A section of a series block does not hold {len(out)} points.")


def _framed(flags: int, count: int, first: tuple[bytes, int], second: tuple[bytes, int]) -> bytes:
    flags |= first[1] | second[1]
    body = first[0] + second[0]
    head = MAGIC, VERSION, flags, count, len(first[0])
    crc = zlib.crc32(body, zlib.crc32(_HEADER.pack(*head, 0)))
    return _HEADER.pack(*head, crc) + body


def _unframed(payload: bytes) -> tuple[int, int, bytes, bytes]:
    """Check a payload; return its flags, its number of points and its two sections."""
    start = _HEADER.size
    if len(payload) < start or payload[:2] != MAGIC:
        raise ValueError(
            f"Not a series block: it begins with {bytes(payload[:4])!r}, not {MAGIC!r}."
        )
    magic, version, flags, count, split, crc = _HEADER.unpack_from(payload)
    if version > VERSION:
        raise ValueError(
            f"A series block of format {version}; this release reads up to {VERSION}. "
            f"Upgrade: pip install -U local-tracker"
        )
    body = memoryview(payload)[start:]
    head = _HEADER.pack(magic, version, flags, count, split, 0)
    if zlib.crc32(body, zlib.crc32(head)) != crc:
        raise ValueError(f"A series block of {len(payload)} bytes is damaged or cut short.")
    return flags, count, bytes(body[:split]), bytes(body[split:])
