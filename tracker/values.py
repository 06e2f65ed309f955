"""Values become plain here, once, at the door.

Metrics are doubles. SQLite keeps neither NaN nor the sign of -0.0, so that a stored value is a pair
``(value, kind)``:

=========  ==========  ======================
kind       stored      read back as
=========  ==========  ======================
finite     the value   the value
+inf -inf  ±infinity   ±infinity
nan        NULL        NaN
-0         0.0         -0.0
NULL       NULL        None ("none yet")
=========  ==========  ======================
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, MutableSequence, Set
from enum import Enum
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import compress

from tracker.errors import BadValue, StoreError, cut

LONGEST_NAME = 2000
"""Bytes of UTF-8; a longer name is taken where it repeats itself, see `fits_index`. PostgreSQL cannot index a row of
more than 2704, see https://www.postgresql.org/docs/current/btree.html#BTREE-IMPLEMENTATION."""

_SHORT_NAME = LONGEST_NAME // 4
"""Characters, of which each has at most four bytes."""
_LONGEST_REPETITION, _MARGIN = 10_000, 10

LONGEST_PATH = 2600
"""Bytes of a path as it is stored; it is indexed by itself."""

MOST_WHOLE = 2**63 - 1
"""The highest whole number that both databases keep; its negative is the lowest."""


def number(value: Any, name: str = "value") -> float:
    """Return ``value`` as a float.

    Takes bool, int, float, Decimal, and any scalar or one-element array or tensor of NumPy, torch,
    TensorFlow or JAX, whatever its shape, device, dtype or gradient.

    Raises:
        BadValue: for text, also within an array or tensor, None, a masked value, a finite value that no
            double holds, and anything with more than one element.
    """
    try:
        return value if value.__class__ is float else _float(_alone(value, name), name)
    except BadValue:
        raise
    except Exception as error:  # whatever the value's own methods raise
        raise BadValue(
            f"{name} is {_shown(value)}: a metric must be one number ({_told(error)})."
        ) from error


def _alone(value: Any, name: str) -> Any:
    """Return the one element of an array or tensor; what is none, as it is."""
    if isinstance(value, (float, int)):
        return value
    size = element_count(value)
    if size is not None and size != 1:
        raise BadValue(
            f"{name} has {size} elements: a metric must be one number. "
            f"Reduce it first, for instance with .mean()."
        )
    if _is_masked(value):
        raise BadValue(f"{name} is masked: it has no value. Leave it out, or log NaN.")
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "numpy") and not hasattr(value, "item"):
        value = value.numpy()
    return value.item() if hasattr(value, "item") else value


def whole(
    value: Any,
    name: str,
    *,
    least: int | None = None,
    most: int = MOST_WHOLE,
    hint: str | None = None,
) -> int:
    """Return ``value`` as an int of at most 64 bits: Python's, NumPy's, or a tensor of one integer.

    Args:
        value: what was given.
        name: what it was given for.
        least: the lowest that is possible; None for any.
        most: the highest that is possible.
        hint: a sentence that says what to pass.

    Raises:
        BadValue: for anything else, bool and 3.0 included, and outside of the range.
    """
    lowest = -MOST_WHOLE if least is None else least
    if value.__class__ is int and lowest <= value <= most:
        return value
    try:
        integer = None if is_flag(value) else int(value.__index__())
    except Exception:  # whatever the value's own methods raise
        integer = None
    if integer is None or not lowest <= integer <= most:
        bound = "" if least is None else f" of at least {least}"
        if most != MOST_WHOLE or (integer is not None and abs(integer) > MOST_WHOLE):
            bound = f" from {lowest} to {most}"
        advice = "" if hint is None else f" {hint}"
        raise BadValue(f"{name} is {brief(value)}: it must be a whole number{bound}.{advice}")
    return integer


def _is_masked(value: Any) -> bool:
    masked = sys.modules.get("numpy.ma")
    return masked is not None and bool(masked.is_masked(value))


def is_flag(value: Any) -> bool:
    """Say whether a value is a bool, NumPy's included, which NumPy 1 takes for an integer."""
    numpy = sys.modules.get("numpy")
    return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_))


def no_mapping(
    given: object, what: str = "metrics", of: str = "a dict of names and numbers"
) -> BadValue:
    """Return the error for metrics, params or tags that have no names."""
    return BadValue(f"{what} is {_shown(given)}: pass {of}.")


def element_count(value: Any) -> int | None:
    """How many elements an array or tensor has, or None when it does not say."""
    numel = getattr(value, "numel", None)
    if callable(numel):
        return int(numel())
    size = getattr(value, "size", None)
    if isinstance(size, int):
        return size
    shape = getattr(value, "shape", None)
    return math.prod(shape) if shape is not None else None


def _float(value: Any, name: str) -> float:
    kind = type(value)
    if isinstance(value, (str, bytes)) or not (
        hasattr(kind, "__float__") or hasattr(kind, "__index__")  # else float() would read text
    ):
        raise BadValue(f"{name} is {_shown(value)}: a metric must be one number.")
    try:
        found = float(value)
        if not math.isinf(found) or value == found:
            return found
    except OverflowError:
        pass
    raise BadValue(
        f"{name} is beyond what a double holds (1.8e308). Log its logarithm, or keep it as a parameter."
    )


def _shown(value: Any) -> str:
    return f"{brief(value)} ({type(value).__name__})"


def brief(value: Any) -> str:
    """Return the ``repr`` of anything for a message, cut; a few words where it has none."""
    try:
        return cut(repr(value))
    except Exception as error:  # an integer of more than 4300 digits, or whatever __repr__ raises
        return f"a value that cannot be shown ({_told(error)})"


def _told(error: Exception) -> str:
    try:
        return cut(str(error), 200) or type(error).__name__
    except Exception:
        return type(error).__name__


def kind_of(value: float) -> str:
    """Say which of the kinds above a double is."""
    if math.isfinite(value):
        return "-0" if value == 0 and math.copysign(1, value) < 0 else "finite"
    if math.isnan(value):
        return "nan"
    return "+inf" if value > 0 else "-inf"


MetricValue = tuple[str, float | None, str | None]
"""A metric's name, value and kind, see `split`."""


def split(value: float | None) -> tuple[float | None, str | None]:
    """Return ``(value, kind)`` as they are stored."""
    if value and math.isfinite(value):
        return value, "finite"
    if value is None:
        return None, None
    kind = kind_of(value)
    return (None if kind == "nan" else value), kind


def metric(name: Any, value: Any) -> MetricValue:
    """Return a metric as it is stored: its name, and `split` of its `number`.

    Raises:
        BadValue: as `name_text` and `number` do.
    """
    text = name_text(name, "A metric's name")
    if value.__class__ is float and value and math.isfinite(value):
        return text, value, "finite"
    return text, *split(number(value, text))


def metrics(given: Mapping[Any, Any]) -> list[MetricValue]:
    """Return the metrics of an epoch as they are stored, in their order.

    Raises:
        BadValue: as `metric` does, and if it is not a mapping.
    """
    try:
        items = list(given.items())
        names, numbers = zip(*items, strict=True) if items else ((), ())
    except Exception as error:  # whatever its own methods raise
        raise no_mapping(given) from error
    # Each epoch of most trainings is so; asking all of them at once takes a third of asking each.
    if (
        _PLAIN_NUMBER.issuperset(map(type, numbers))
        and all(numbers)
        and all(map(math.isfinite, numbers))
        and _PLAIN_NAME.issuperset(map(type, names))
        and _are_short(names)
    ):
        return list(zip(names, numbers, repeat("finite")))
    return [metric(name, value) for name, value in items]


_PLAIN_NUMBER, _PLAIN_NAME = frozenset([float]), frozenset([str])


@lru_cache(maxsize=64)
def _are_short(names: tuple[str, ...]) -> bool:
    return all(map(_is_short, names))


def _is_short(name: str) -> bool:
    """Whether a text is a name as it stands."""
    return name.isascii() and len(name) <= _SHORT_NAME and "\0" not in name


def join(value: float | None, kind: str | None) -> float | None:
    """Return what `split` took apart."""
    if kind is None or kind == "finite":
        return value
    return {"nan": math.nan, "+inf": math.inf, "-inf": -math.inf, "-0": -0.0}[kind]


def name_text(name: Any, what: str = "A name") -> str:
    """Return the text of a name, as it is stored; ``what`` it names, for a message.

    Raises:
        BadValue: for a name without a text, or one that `fits_index` does not take.
    """
    if type(name) is str and _is_short(name):
        return name
    text = text_of(name, what)
    if not fits_index(text):
        raise BadValue(
            f"{what} has {len(text.encode())} bytes, of at most {LONGEST_NAME}: {cut(text)} "
            f"Give a shorter one."
        )
    return text


def fits_index(text: str) -> bool:
    """Say whether both databases can index a name: up to `LONGEST_NAME` bytes, or a longer repetition.

    PostgreSQL compresses what it indexes, worse than zlib does: what counts is far below its limit.
    """
    if len(text) <= _SHORT_NAME:
        return True
    data = text.encode()
    if len(data) <= LONGEST_NAME:
        return True
    return len(data) <= _LONGEST_REPETITION and len(compress(data, 1)) <= LONGEST_NAME // _MARGIN


def text_of(value: Any, what: str = "A value") -> str:
    """Return ``str(value)`` as both databases take it.

    Raises:
        BadValue: for a value without a text.
    """
    try:
        return clean_text(str(value))
    except Exception as error:  # whatever its __str__ raises
        raise BadValue(
            f"{what} is a {type(value).__name__} without a text ({_told(error)})."
        ) from error


def path_of(value: Any) -> Path:
    """Return the path of a file.

    Raises:
        BadValue: if it is not a path, or one that no file system takes.
    """
    try:
        text = os.fsdecode(value)
        encoded = os.fsencode(text)
    except Exception as error:  # a number, a lone surrogate, or whatever __fspath__ raises
        raise BadValue(f"path is {_shown(value)}: it must be the path of a file.") from error
    if not encoded or b"\0" in encoded or len(encoded) > LONGEST_PATH:
        why = f"has {len(encoded)} bytes, of at most {LONGEST_PATH}" if encoded else "is empty"
        if b"\0" in encoded:
            why = "has a NUL in it"
        raise BadValue(f"path is {brief(text)}, which {why}: name a file.")
    return Path(text)


def clean_text(text: str) -> str:
    r"""Make text that both databases take: NUL and lone surrogates become their escapes (``\x00``)."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON-ready data: numbers, text, lists and dicts with text keys.

    Raises:
        BadValue: for data that contains itself, and what raises when it is looked at.
    """
    try:
        return _plain(value)
    except BadValue:
        raise
    except Exception as error:  # whatever the value's own methods raise
        raise _unkept(value, error, "data", ": pass numbers, text, lists, dicts") from error


def _unkept(value: Any, error: Exception, what: str, instead: str = "") -> BadValue:
    """Return the error for a value that cannot be kept, as ``what``; ``instead``: what can be."""
    kind = type(value).__name__
    if isinstance(error, RecursionError):
        return BadValue(f"A {kind} that contains itself cannot be kept.")
    return BadValue(f"A {kind} cannot be kept as {what} ({_told(error)}){instead}.")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if (pairs := held(value)) is not None:
        return {clean_text(str(key)): _plain(item) for key, item in pairs.items()}
    if isinstance(value, (set, frozenset)):
        return [_plain(item) for item in _in_order(value)]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if hasattr(value, "tolist"):
        listed = value.tolist()
        # NumPy has no Python number for a long double.
        return str(value) if type(listed) is type(value) else _plain(listed)
    if isinstance(value, (list, tuple, MutableSequence)):
        return [_plain(item) for item in value]
    return clean_text(value.name if isinstance(value, Enum) else _ADDRESS.sub("", str(value)))


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Where an object is in memory: another place in each process, which is no change."""


def _in_order(values: Set[Any]) -> list[Any]:
    """Return the elements of a set in an order that is the same in each process."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def held(value: Any) -> Mapping[Any, Any] | None:
    """Return what a mapping or an object that holds settings has, by name; None for anything else.

    Such objects are dataclasses, ``argparse.Namespace``, ``types.SimpleNamespace``, and classes of attrs and pydantic.
    """
    if isinstance(value, Mapping):
        return value
    kind = type(value)
    argparse = sys.modules.get("argparse")
    if isinstance(value, SimpleNamespace) or (argparse and isinstance(value, argparse.Namespace)):
        return dict(vars(value))
    for attribute in ("__dataclass_fields__", "model_fields"):
        names = getattr(kind, attribute, None)
        if isinstance(names, dict):
            return {name: getattr(value, name) for name in names if hasattr(value, name)}
    attributes = getattr(kind, "__attrs_attrs__", None)
    return (
        None if attributes is None else {one.name: getattr(value, one.name) for one in attributes}
    )


def to_json(value: Any) -> str:
    """Write JSON; NaN and infinities as Python's json writes them, to be read by `from_json` only.

    Raises:
        BadValue: for data that contains itself, and integers beyond what Python converts to text.
    """
    ready = plain(value)
    try:
        return json.dumps(ready, ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError) as error:
        raise BadValue(f"A {type(value).__name__} cannot be kept as data: {error}.") from error


def object_in(text: str | None) -> dict[str, Any]:
    """Read a JSON object; an empty one for None, and for what a disk has changed."""
    try:
        found = from_json(text)
    except StoreError:
        return {}
    return found if isinstance(found, dict) else {}


def from_json(text: str | None) -> Any:
    """Read what `to_json` wrote; None for None.

    Raises:
        StoreError: it is no longer JSON.
    """
    if text is None:
        return None
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"A value in the database should be JSON and is not ({error}): the disk has changed it. To copy the "
            f"database as it is: tracker db backup"
        ) from error


def param_encode(value: Any) -> tuple[str, str, float | None]:
    """Return ``(kind, text, number)`` of a parameter: exact for any float, and integers of up to 4300 digits.

    Raises:
        BadValue: for longer integers, for data that contains itself, and what raises when it is looked at.
    """
    try:
        return _param_encode(value)
    except BadValue:
        raise
    except Exception as error:  # whatever the value's own methods raise
        raise _unkept(value, error, "a parameter") from error


def _param_encode(value: Any) -> tuple[str, str, float | None]:
    if isinstance(value, bool):
        return "bool", str(value).lower(), float(value)
    if isinstance(value, int):
        return "int", _digits(value), _sortable(value)
    if isinstance(value, float):
        return "float", repr(float(value)), None if math.isnan(value) else float(value)
    if value is None:
        return "none", "", None
    if isinstance(value, str):
        return "str", clean_text(value), None
    if element_count(value) == 1 and hasattr(value, "item"):
        alone = None if _is_masked(value) else value.item()
        if type(alone) is not type(value):
            return _param_encode(alone)
    ready = plain(value)
    if isinstance(ready, (str, int, float)):
        return _param_encode(ready)
    return "json", to_json(ready), None


def leaves(data: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Give each value of nested mappings under its path: ``{"opt": {"lr": 0.1}}`` is ``opt.lr``.

    An object that holds settings (`held`) is a mapping. An empty one is a value itself, and so is a list.

    Raises:
        BadValue: for data that contains itself.
    """
    try:
        for key, value in data.items():
            name = text_of(key, "A name")
            path = f"{above}.{name}" if above else name
            if pairs := held(value):
                yield from leaves(pairs, path)
            else:
                yield path, value
    except RecursionError as error:
        raise BadValue(f"A {type(data).__name__} that contains itself cannot be kept.") from error


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError as error:
        raise BadValue(f"An integer of {value.bit_length()} bits is too long: {error}.") from error


def _sortable(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def param_decode(kind: str, text: str) -> Any:
    """Return the parameter that `param_encode` took apart."""
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "bool":
        return text == "true"
    if kind == "none":
        return None
    return json.loads(text) if kind == "json" else text
