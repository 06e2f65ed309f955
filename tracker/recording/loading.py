"""Load a recorded checkpoint, after its hash was checked, and name the best run of an experiment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from tracker.checkpointing import registry, transfer
from tracker.checkpointing.copies import Copy, copies_of_one
from tracker.clock import now
from tracker.errors import BadValue, CheckpointError
from tracker.queries.best_run import BestRun, best_run
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.provenance import LOADED, PARENTS
from tracker.recording.active import live_runs
from tracker.recording.join import active_run
from tracker.recording.run import Run
from tracker.states import CheckpointState
from tracker.storage.database import reading

_LOADERS = {"torch": "tracker_torch", "keras": "tracker_keras"}
"""The adapter that loads into a model of a framework, or of a class that is derived from one of it."""
_SUFFIXES = {
    ".keras": "keras", ".h5": "keras", ".pt": "torch", ".pth": "torch", ".safetensors": "torch",
}  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """What was loaded.

    Attributes:
        checkpoint: what is recorded of the file.
        source: where it was read from: its path, or the URL of the copy in a remote folder.
        run: the name of its run.
        model: the model that was handed over, or the one that the file holds.
        epoch, step: where the file was saved; None where that is not known.
        missing: names of weights that the model has and the file lacks.
        unexpected: names of weights that the file has and the model lacks.
        mismatched: names of weights whose shapes differ.
        content: what else the adapter says.
    """

    checkpoint: registry.Checkpoint
    run: str
    model: Any
    epoch: int | None
    step: int | None
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    source: str = ""


def load_checkpoint(
    run: str | Run | BestRun,
    which: str | int = "best",
    model: Any = None,
    *,
    strict: bool = True,
    database: str | os.PathLike[str] | None = None,
    **parts: Any,
) -> Loaded:
    """Load a checkpoint of a run into a model, without running code from the file.

    A file that this process is saving beside its training is waited for. The size and the SHA-256 of the file
    are checked first; where it is gone or changed, a copy in a remote folder takes its place, checked in the
    same way. Files of PyTorch are read with
    ``weights_only=True``, those of Keras in safe mode. Within a run it is recorded as a parent of what
    that run saves.

    Args:
        run: its id or name, a `tracker.Run`, or what `tracker.best` returns.
        which: "best", "last", or the number of an epoch.
        model: the module, or the mapping of modules, or the Keras model that was saved. None: a ``.keras``
            file becomes a model; of a torch file ``content`` says what it holds.
        strict: raise where the weights do not fit the model; else load those that fit, and name the others.
        database: a path or URL.
        **parts: for PyTorch: ``optimizer``, ``scheduler``, ``scaler``, ``rng``.

    Raises:
        CheckpointError: there is no such checkpoint; its file is missing or was changed, and there is no copy
            of it; it does not fit.
        UnknownRun, AmbiguousRun: for ``run``.
        BadValue: if the model is of no framework that an adapter loads into.
    """
    alias, epoch = _chosen(which)
    for recorded in live_runs():
        recorded.wait_for_saves()
    with reading(database) as reader:
        row = find_checkpoint(reader, _named(run), alias=alias, epoch=epoch)
        file = Path(row["file"])
        copies = copies_of_one(reader.connection, row["id"])
    checkpoint = registry.Checkpoint(
        id=row["id"], path=file, bytes=row["bytes"], sha256=row["sha256"], epoch=row["epoch"],
        step=row["step"], monitor=row["monitor"], value=row["value"], state=row["state"],
        pinned=row["pinned"],
    )  # fmt: skip
    with _readable(checkpoint, row, copies) as (readable, source):
        adapter = import_module(_LOADERS[_framework(model, file)])
        content: dict[str, Any] = adapter.load_checkpoint(readable, model, strict=strict, **parts)
    _note_parent(checkpoint, row)
    return Loaded(
        checkpoint=checkpoint,
        run=row["run"],
        model=content.pop("model", model),
        epoch=row["epoch"],
        step=row["step"],
        missing=tuple(content.pop("missing", ())),
        unexpected=tuple(content.pop("unexpected", ())),
        mismatched=tuple(content.pop("mismatched", ())),
        content=content,
        source=source,
    )


@contextmanager
def _readable(
    checkpoint: registry.Checkpoint, row: Mapping[str, Any], copies: Sequence[Copy]
) -> Iterator[tuple[registry.Checkpoint, str]]:
    """Give the checkpoint with a path that has its bytes, and where those come from."""
    state = registry.check(checkpoint)
    if state == CheckpointState.AVAILABLE:
        yield checkpoint, str(checkpoint.path)
    elif copies:
        with transfer.fetched(copies, row["path"]) as (path, url):
            yield replace(checkpoint, path=path), url
    else:
        raise CheckpointError(
            f"The file {checkpoint.path} of checkpoint {checkpoint.id} is {state}: nothing was loaded. "
            f"See tracker checkpoints list {row['run']}."
        )


def best(
    experiment: str,
    metric: str | None = None,
    where: str | None = None,
    *,
    database: str | os.PathLike[str] | None = None,
) -> BestRun:
    """Return the best run of an experiment, and the file that holds its best epoch.

    Args:
        experiment: its name.
        metric: what is compared; by default what most of its runs are judged by.
        where: a filter; see `tracker.filters`.
        database: a path or URL.

    Raises:
        BadValue: for an experiment that does not exist, or has no run to choose from.
        UnknownMetric: for a metric that none of the runs has, or that has no better or worse.
    """
    with reading(database) as reader:
        return best_run(reader, experiment, metric=metric, where=where)


def _named(run: str | Run | BestRun) -> str:
    if isinstance(run, BestRun):
        return str(run.run["id"])
    return run if isinstance(run, str) else str(run.id)


def _chosen(which: str | int) -> tuple[str | None, int | None]:
    if isinstance(which, int) and not isinstance(which, bool):
        return None, which
    if isinstance(which, str) and which in ("best", "last"):
        return which, None
    raise BadValue(f"which is {which!r}: it must be 'best', 'last' or the number of an epoch.")


def _framework(model: Any, file: Path) -> str:
    """Return the framework of a model; where there is none, that of the file."""
    if isinstance(model, Mapping):
        model = next(iter(model.values()), None)
    elif isinstance(model, (list, tuple)):
        model = next(iter(model), None)
    if model is None:
        if file.suffix in _SUFFIXES:
            return _SUFFIXES[file.suffix]
        raise BadValue(
            f"{file.name} does not end in one of {', '.join(_SUFFIXES)}: hand over the model that it is for."
        )
    # A Keras model on the torch backend is a torch module, too.
    roots = {one.__module__.partition(".")[0] for one in type(model).__mro__}
    for framework in ("keras", "torch"):
        if framework in roots:
            return framework
    raise BadValue(
        f"model is a {type(model).__name__}: it must be a torch.nn.Module or a keras.Model. "
        f"Any other file can be copied, with its hash checked, by tracker checkpoints restore."
    )


def _note_parent(checkpoint: registry.Checkpoint, row: Mapping[str, Any]) -> None:
    """Record in the active run what it is trained from."""
    run = active_run()
    if run is None or run.finished:
        return
    loaded = {"run": row["run"], "checkpoint": checkpoint.id, "sha256": checkpoint.sha256}
    loaded |= {"epoch": row["epoch"], "path": row["path"]}
    known = run.captured(PARENTS) or []
    if checkpoint.id not in [one["checkpoint"] for one in known]:
        run.capture(**{PARENTS: [*known, {**loaded, LOADED: now()}]})
