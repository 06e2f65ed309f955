"""Values of any kind, recorded in SQLite and in PostgreSQL: the same ones come back, or none was taken."""

from __future__ import annotations

import datetime
import math
import random
import string
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

import tracker
from tests.faults.family import Family, Result, share_of
from tests.helpers.patience import patient
from tests.helpers.postgres import binary, cluster
from tracker.errors import BadValue
from tracker.models import EPOCH, METRIC, PARAM
from tracker.storage.database import reading
from tracker.values import join, param_decode

A_RUN = 500
"""Params and metrics of one run."""
Made = tuple[Any, Any]
"""A value, and what is read back."""
EDGES = (
    0.0,
    -0.0,
    math.nan,
    math.inf,
    -math.inf,
    5e-324,
    -2.2250738585072014e-308,
    1.7976931348623157e308,
)
POWERS = 0, 31, 53, 63, 64, 200
WHOLE = tuple(
    sign * (2**power + more) for sign in (1, -1) for power in POWERS for more in (-1, 0, 1)
)
KINDS = ("float64", "float32", "float16", "int64", "uint64", "int8")


def a_float(rng: random.Random) -> Made:
    """Return any double, by its bits, or an edge."""
    value = rng.choice(EDGES) if rng.random() < 0.3 else _of_bits(rng)
    return value, value


def _of_bits(rng: random.Random) -> float:
    (value,) = struct.unpack("<d", rng.randbytes(8))
    return float(value)


def a_whole(rng: random.Random) -> Made:
    """Return a whole number, of any size."""
    value = rng.choice(WHOLE) if rng.random() < 0.5 else rng.getrandbits(70) - 2**69
    return value, value


def a_flag(rng: random.Random) -> Made:
    """Return a bool or None."""
    value = rng.choice((True, False, None))
    return value, value


def of_numpy(rng: random.Random) -> Made:
    """Return a scalar, or an array of one element, of each kind of NumPy's."""
    with np.errstate(all="ignore"):
        value = np.frombuffer(rng.randbytes(8), dtype=rng.choice(KINDS))[:1]
    if rng.random() < 0.1:
        value = np.array([rng.random() < 0.5])
    return value[0], value[0].item()


def of_torch(rng: random.Random) -> Made:
    """Return a tensor of one element."""
    import torch

    kind = rng.choice((torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool))
    value = torch.tensor(rng.uniform(-100, 100)).to(kind)
    return value, value.item()


def a_decimal(rng: random.Random) -> Made:
    """Return a decimal number; as a param it is kept as it is written."""
    value = Decimal(rng.randint(-(10**12), 10**12)).scaleb(rng.randint(-12, 12))
    return value, str(value)


def a_path(rng: random.Random) -> Made:
    """Return a path, a time, or bytes."""
    path = f"a/{rng.random()}"
    when = datetime.datetime.fromtimestamp(rng.randint(0, 2**32), datetime.UTC)
    data = rng.randbytes(rng.randint(0, 20))
    made: list[Made] = [(Path(path), path), (when, str(when.isoformat())), (data, data.hex())]
    return rng.choice(made)


def a_text(rng: random.Random) -> Made:
    """Return text of any characters that both databases can hold."""
    letters = [chr(rng.choice((rng.randrange(1, 128), rng.randrange(0xA0, 0xD800), rng.randrange(0x1F300, 0x1F600))))
               for _ in range(rng.randint(0, 30))]  # fmt: skip
    return "".join(letters), "".join(letters)


def nested(rng: random.Random) -> Made:
    """Return a list of these, with lists and dictionaries within."""
    parts = [rng.choice((*PLAIN, _a_dictionary))(rng) for _ in range(rng.randint(0, 4))]
    return [value for value, _ in parts], [back for _, back in parts]


def _a_dictionary(rng: random.Random) -> Made:
    names = {"".join(rng.choices(string.ascii_letters, k=5)) for _ in range(rng.randint(0, 3))}
    parts = {name: rng.choice((*PLAIN, nested))(rng) for name in sorted(names)}
    return {name: value for name, (value, _) in parts.items()}, {
        name: back for name, (_, back) in parts.items()
    }


PLAIN: tuple[Callable[[random.Random], Made], ...] = (
    a_float, a_whole, a_flag, of_numpy, of_torch, a_decimal, a_path, a_text,
)  # fmt: skip
NUMBERS: tuple[Callable[[random.Random], Made], ...] = (a_float, a_whole, of_numpy, of_torch)


def a_metric(rng: random.Random) -> Made:
    """Return a number of any kind, and the double that it is; None where no double is."""
    if rng.random() < 0.15:
        value: Any = rng.choice(
            (a_decimal(rng)[0], Fraction(rng.randint(-99, 99), rng.randint(1, 99)), True, 10**400)
        )
    else:
        value = rng.choice(NUMBERS)(rng)[0]
    try:
        return value, float(value)
    except OverflowError:
        return value, None


REFUSED: tuple[Any, ...] = (
    None,
    "0.5",
    1j,
    [1.0],
    [],
    {},
    b"1",
    np.array([1, 2]),
    np.array(["1"]),
    object,
)
"""Values that are not metrics: each is refused."""


def same(one: Any, other: Any) -> bool:
    """Say whether two values have one type and the same bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (
            math.isnan(one) and math.isnan(other)
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


@contextmanager
def databases(folder: Path, result: Result) -> Iterator[dict[str, str]]:
    """Give the URL of a database of each kind."""
    made = {"SQLite": str(folder / "tracker.db")}
    if binary("initdb") is None:
        result.facts["not tried"] = "PostgreSQL is not installed"
        yield made
        return
    with cluster() as server:
        yield made | {"PostgreSQL": server.create("values")}


def any_values(folder: Path, share: float, rng: random.Random) -> Result:
    """Params and metrics of all kinds, 500 of each a run, in both databases."""
    result = Result()
    with databases(folder, result) as places, patient():
        for number in range(max(1, share_of(52_000, share) // A_RUN)):
            values = [rng.choice((*PLAIN, nested))(rng) for _ in range(A_RUN if number % 2 else 0)]
            metrics = [a_metric(rng) for _ in range(0 if number % 2 else A_RUN)]
            for kind, database in places.items():
                check_params(result, kind, database, values)
                check_metrics(result, kind, database, metrics, rng)
    return result


def check_params(result: Result, kind: str, database: str, values: list[Made]) -> None:
    """Each param is read back as what it is."""
    params = {f"p{number}": value for number, (value, _) in enumerate(values)}
    with tracker.start_run("values", params=params, database=database, system_metrics=False) as run:
        pass
    back = {
        row.name: param_decode(row.kind, row.text)
        for row in _rows(database, select(PARAM).where(PARAM.c.run_id == run.id))
    }
    for number, (value, expected) in enumerate(values):
        with result.trial(f"{kind}, {type(value).__name__} {str(value)[:60]!r}"):
            found = back.get(f"p{number}", "nothing")
            assert same(found, expected), f"{found!r} is read back"
        result.count(kind)


def check_metrics(
    result: Result, kind: str, database: str, made: list[Made], rng: random.Random
) -> None:
    """Each number is read back as a double; any other value is refused, and nothing of its epoch is recorded."""
    with tracker.start_run("values", database=database, system_metrics=False) as run:
        taken = {
            f"m{number}": value for number, (value, back) in enumerate(made) if back is not None
        }
        refused = [value for value, back in made if back is None]
        for value in (*refused, rng.choice(REFUSED)) if made else ():
            with result.trial(f"{kind}, {type(value).__name__} as a metric"):
                check_refused(run, value)
            result.count("refused")
        if taken:
            run.log_epoch(0, taken)
    query = select(METRIC.c.name, METRIC.c.value, METRIC.c.value_kind).where(METRIC.c.epoch_id.in_(
        select(EPOCH.c.id).where(EPOCH.c.run_id == run.id)
    ))  # fmt: skip
    back = {row.name: join(row.value, row.value_kind) for row in _rows(database, query)}
    with result.trial(f"{kind}, the names of the metrics"):
        assert back.keys() == taken.keys()
    for number, (value, expected) in enumerate(made):
        if expected is not None:
            with result.trial(f"{kind}, {type(value).__name__} {str(value)[:60]!r} as a metric"):
                found = back.get(f"m{number}")
                assert same(found, expected), f"{found!r} is read back"
            result.count(kind)


def check_refused(run: tracker.Run, value: Any) -> None:
    """It is refused by an error of ours; its neighbour is not recorded either."""
    try:
        run.log_epoch(0, {"good": 1.0, "bad": value})
    except BadValue:
        return
    raise AssertionError(f"{value!r} was taken")


def _rows(database: str, query: Any) -> list[Any]:
    with reading(database) as reader:
        return list(reader.connection.execute(query))


FAMILIES = [
    Family(
        "F1",
        "params and metrics of all kinds, in SQLite and in PostgreSQL",
        "8",
        100_000,
        0.01,
        any_values,
        minutes=2.0,
    )
]
