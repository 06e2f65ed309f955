"""A training whose database raises whatever there is, from some statement on; in processes of its own."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tests.helpers.torch_problems import Problem, problem, step
from tracker_torch import (
    BackupAndRestore,
    CSVLogger,
    EarlyStopping,
    ModelCheckpoint,
    ReduceLROnPlateau,
    Training,
)

EPOCHS = 8

ERRORS: tuple[Callable[[], Exception], ...] = (
    *(
        lambda code=code: OSError(code, "planted")  # type: ignore[misc]
        for code in (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE)
    ),
    *(
        lambda kind=kind: kind("planted")  # type: ignore[misc]
        for kind in (
            sqlite3.OperationalError,
            sqlite3.DatabaseError,
            sqlite3.IntegrityError,
            sqlite3.InterfaceError,
            sqlite3.ProgrammingError,
            sqlite3.InternalError,
            sqlite3.DataError,
            sqlite3.NotSupportedError,
            MemoryError,
            RecursionError,
            RuntimeError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            ZeroDivisionError,
            TimeoutError,
            AssertionError,
            EOFError,
            ImportError,
            BufferError,
        )
    ),
    lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "planted"),
    lambda: sqlite3.OperationalError("database is locked"),
)
"""What the database driver raises."""


def prepare(folder: str) -> None:
    """Lay down the data in a folder above those of the trainings."""
    problem("wine").save(f"{folder}/wine.pt")


def train(number: int | None, at: int, more: int) -> None:
    """Train, and write down what came of it.

    Args:
        number: which of `ERRORS` is raised; None: the database works.
        at: from which statement on.
        more: how many statements after it fail as well.
    """
    sqlite3.connect = partial(sqlite3.connect, factory=_Connection)
    torch.set_num_threads(1)
    wine = Problem.read("../wine.pt")
    model = wine.net(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    callbacks = [
        EarlyStopping(patience=2, restore_best_weights=True),
        ReduceLROnPlateau(patience=1, factor=0.5),
        ModelCheckpoint("kept/{epoch:03d}.pt", keep=2),
        ModelCheckpoint("best.pt", save_best_only=True),
        CSVLogger("log.csv"),
        BackupAndRestore("backup"),
    ]
    with Training(
        model, optimizer, EPOCHS, experiment="errors", callbacks=callbacks, progress=False
    ) as training:
        if number is not None:
            _raise(ERRORS[number], range(at, at + more + 1))
        for _ in training.epochs():
            for x, y in training.batches(wine.loader(32)):
                training.log(loss=step(model, optimizer, x, y), batch_size=len(x))
            training.log_epoch(val_loss=wine.val_loss(model))
    result = {
        "history": training.history.history,
        "weights": [values.tolist() for values in model.parameters()],
        "rate": optimizer.param_groups[0]["lr"],
        "csv": Path("log.csv").read_text(),
        "files": sorted(str(path) for path in Path().rglob("*.pt") if "backup" not in path.parts),
    }
    Path("../result.json").write_text(json.dumps(result))


class _Planted:
    """Which statements raise what; they are counted from the moment that it is said."""

    def __init__(self) -> None:
        self.make: Callable[[], Exception] | None = None
        self.numbers = range(0)
        self.seen = 0

    def strike(self) -> None:
        """Raise where it is a statement's turn."""
        self.seen += 1
        if self.make is not None and self.seen in self.numbers:
            raise self.make()


_planted = _Planted()


class _Cursor(sqlite3.Cursor):
    """Raises before statements, the driver's own and those of SQLAlchemy."""

    def execute(self, *given: Any) -> sqlite3.Cursor:
        _planted.strike()
        return super().execute(*given)

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        _planted.strike()
        return super().executemany(*given)


class _Connection(sqlite3.Connection):
    """Has such cursors."""

    def cursor(self, *_: Any) -> sqlite3.Cursor:  # type: ignore[override]  # whatever is asked for
        return super().cursor(_Cursor)


def _raise(make: Callable[[], Exception], numbers: range) -> None:
    """Have the statements of these numbers, counted from now on, raise."""
    _planted.make, _planted.numbers, _planted.seen = make, numbers, 0
