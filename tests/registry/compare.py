"""Run a random sequence on the product and on the model, and compare them after each step."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import tracker
from tests.registry.model import Model, Row
from tracker.errors import CheckpointError
from tracker.maintenance import adoption, edits, store
from tracker.maintenance.checkpoints import pin, plan_pruning, prune, restore, verify
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.storage.database import reading
from tracker.storage.location import locate

PATHS = ("best.pt", "last.pt", "c/best.pt")
MOVED = ("moved/1.pt", "moved/2.pt")
FOLDERS, MOVED_FOLDERS = ("shards/1", "shards/2"), ("moved/3", "moved/4")
KEEP = ("best", "best", "run", "none")
VALUES = (0.1, 0.2, 0.3, 0.4, 0.5, float("nan"))
"""Few, so that some are equal."""


class Sequence:
    """One random sequence in the working directory."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = Model()
        self.runs: list[tracker.Run] = []
        self.run: tracker.Run | None = None
        self.keep = "best"
        self.ids: dict[int, str] = {}
        self.said: list[str] = []
        self.counter = 0

    def run_all(self, steps: int) -> str | None:
        """Take steps until the product differs from the model; return how."""
        actions: list[Callable[[], None]] = [
            *[self.save] * 8, self.log, self.log, *[self.start] * 3, self.resume, self.prune, self.prune_by_rule,
            self.pin, self.delete_file, self.edit, self.move, self.write, self.adopt, self.relocate, self.restore,
            self.verify, self.gc, self.delete_run,
        ]  # fmt: skip
        self.start()
        for _ in range(steps):
            action = self.random.choice(actions)
            self.said.append(action.__name__)
            action()
            if (difference := self.difference()) is not None:
                return f"{' '.join(self.said)}: {difference}"
        return self.difference_shown()

    def difference(self) -> str | None:
        """Compare rows, the user's files and the store; the rows with nothing of ours in between."""
        with closing(sqlite3.connect(".tracker/tracker.db")) as connection:
            query = "SELECT id, state, path, coalesce(original_path, path) FROM checkpoint"
            rows = {id: found for id, *found in connection.execute(query)}
        for row in self.model.rows:
            state, path, name = rows.pop(self.ids[id(row)])
            if (state, name) != (row.state, row.path):
                return f"{row} is {state} at {name}"
            if self.model.actual(row) == state == "available" and read(Path(path)) != row.content:
                return f"{row} has other bytes at {path}"
        if rows:
            return f"rows that should not be: {rows}"
        files = files_here()
        expected_files = {
            name: content
            for path, text in self.model.files.items()
            for name, content in on_disk(path, text).items()
        }
        if files != expected_files:
            return f"files {files}, expected {expected_files}"
        stored = sorted(path.read_text() for path in store_files())
        expected = sorted(row.content for row in self.model.rows if row.stored)
        return None if stored == expected else f"store {stored}, expected {expected}"

    def difference_shown(self) -> str | None:
        """Compare what a listing shows."""
        with reading(locate()) as reader:
            rows = {row["id"]: row for row in queries.checkpoints(reader).dicts()}
        for row in self.model.rows:
            found = rows[self.ids[id(row)]]
            is_gone = row.state == "available" and self.model.actual(row) == "missing"
            state = "missing" if is_gone else row.state
            shown = "pruned" if found["state"] == "overwritten" else found["state"]
            if (shown, found["path"], found["kept"] is not None) != (state, row.path, row.stored):
                return f"{row} is shown as {found}"
        return None

    def start(self) -> None:
        """Begin another run."""
        self.finish()
        experiment = self.random.choice(("digits", "letters"))
        self.keep = self.random.choice(KEEP)
        self.run = tracker.start_run(experiment, keep=self.keep, system_metrics=False)
        self.model.experiments[len(self.runs)] = experiment
        self.runs.append(self.run)

    def resume(self) -> None:
        """Continue an earlier run."""
        self.finish()
        number = self.random.randrange(len(self.runs))
        self.keep = self.random.choice(KEEP)
        try:
            resumed = tracker.start_run(
                resume=self.runs[number].id, keep=self.keep, system_metrics=False
            )
            self.run = self.runs[number] = resumed
        except tracker.NothingToResume:
            self.start()
        except tracker.UnknownRun:
            self.start()

    def finish(self) -> None:
        """End the run that is recorded now."""
        if self.run is not None:
            self.run.finish()
        self.run = None

    def active(self) -> tuple[int, tracker.Run]:
        """Return the run that is recorded now; one begins where there is none."""
        if self.run is None:
            self.start()
        assert self.run is not None
        return self.runs.index(self.run), self.run

    def content(self) -> str:
        """Return bytes that nobody has written before."""
        self.counter += 1
        return f"content {self.counter}"

    def save(self) -> None:
        """Save a checkpoint under one of few names."""
        number, run = self.active()
        text, value = self.content(), self.random.choice(VALUES)
        path = self.random.choice(PATHS)
        made = run.save_checkpoint(
            path, lambda to: to.write_text(text), monitor="val_loss", value=value
        )
        row = Row(number, run.attempt, path, value, text)
        self.ids[id(row)] = made.id
        self.model.save(row, self.keep)

    def log(self) -> None:
        """Write a file or a folder, and register it."""
        number, run = self.active()
        text, value = self.content(), self.random.choice(VALUES)
        path = self.random.choice((*FOLDERS, *FOLDERS, *PATHS))
        self.put(path, text)
        made = run.log_checkpoint(path, monitor="val_loss", value=value)
        row = Row(number, run.attempt, path, value, text)
        self.ids[id(row)] = made.id
        self.model.log(row)

    def prune(self) -> None:
        """Delete some checkpoints of the run."""
        number, run = self.active()
        rows = [row for row in self.model.available(number) if self.random.random() < 0.7]
        ids = {self.ids[id(row)] for row in rows}
        run.prune_checkpoints([one for one in run.checkpoints() if one.id in ids])
        self.model.prune(number, rows)

    def prune_by_rule(self) -> None:
        """Delete what a rule does not keep of any run, as the command does."""
        number = self.random.randrange(len(self.runs))
        keep, best = self.random.randrange(3), self.random.randrange(3)
        going = self.model.beyond(number, keep, best)
        planned = plan_pruning(locate(), self.runs[number].id, keep, best=best or None)
        assert {one.id for one in planned.going} == {self.ids[id(row)] for row in going}
        prune(locate(), planned)
        self.model.prune(number, going)

    def row(self) -> Row | None:
        """Return any row."""
        return self.random.choice(self.model.rows) if self.model.rows else None

    def pin(self) -> None:
        """Pin a checkpoint, or take the pin away."""
        row = self.row()
        if row is not None:
            row.pinned = self.random.random() < 0.6
            pin(locate(), [self.ids[id(row)]], pinned=row.pinned)

    def file(self) -> str | None:
        """Return any of the user's files."""
        return self.random.choice(sorted(self.model.files)) if self.model.files else None

    def delete_file(self) -> None:
        """Delete a file, as a user does."""
        path = self.file()
        if path is not None:
            take_away(Path(path))
            del self.model.files[path]

    def edit(self) -> None:
        """Write into a file, or into one in a folder, as a user does."""
        path = self.file()
        if path is not None:
            text = self.model.files[path] = self.content()
            (name,) = [name for name, content in on_disk(path, text).items() if content == text]
            Path(name).write_text(text)

    def write(self) -> None:
        """Write a file or folder of the user's own, also over one of ours."""
        self.put(self.random.choice((*PATHS, *MOVED, *FOLDERS, *MOVED_FOLDERS)), self.content())

    def put(self, path: str, text: str) -> None:
        """Write a file as programs do, where a new one takes the name; or a folder."""
        new = f"new{Path(path).suffix}"
        for name, content in on_disk(new, text).items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(content)
        self._rename(Path(new), path)
        self.model.files[path] = text

    def _rename(self, source: Path, target: str) -> None:
        Path(target).parent.mkdir(exist_ok=True)
        if Path(target).is_dir():
            shutil.rmtree(target)
        source.replace(target)

    def move(self) -> None:
        """Move a file."""
        path = self.file()
        if path is not None:
            self._move(path)

    def _move(self, path: str) -> str:
        names = MOVED_FOLDERS if Path(path).is_dir() else MOVED
        target = self.random.choice([name for name in names if name != path])
        self._rename(Path(path), target)
        self.model.files[target] = self.model.files.pop(path)
        return target

    def relocate(self) -> None:
        """Move a file and say so."""
        path = self.file()
        if path is not None:
            target = self._move(path)
            adoption.relocate(locate(), Path(path), Path(target))
            self.model.relocate(path, target)

    def adopt(self) -> None:
        """Register a file."""
        path = self.file()
        if path is not None:
            known = self.model.adopt(path)
            with suppress(CheckpointError):
                adoption.adopt(locate(), [Path(path)])
                assert known, f"{path} was adopted"
                return
            assert not known, f"{path} was not adopted"

    def restore(self) -> None:
        """Copy the bytes of any checkpoint to a name of the user's own."""
        row = self.row()
        if row is None:
            return
        names = MOVED_FOLDERS if row.path in (*FOLDERS, *MOVED_FOLDERS) else MOVED
        target = self.random.choice(names)
        if target == row.path or Path(target).is_dir():
            return
        whole = self.model.actual(row) == "available"
        with reading(locate()) as reader:
            found = find_checkpoint(reader, self.ids[id(row)])
        with suppress(CheckpointError):
            restore(found, Path(target), replace=True)
            assert whole, f"{row} was restored"
            self.model.files[target] = row.content
            return
        assert not whole, f"{row} was not restored"

    def verify(self) -> None:
        """Check all files."""
        verify(locate(), jobs=1)
        self.model.verify()

    def gc(self) -> None:
        """Clear the store."""
        rule = self.random.choice((None, None, *KEEP))
        store.clean(locate(), store.plan(locate(), rule))
        self.model.clear_store(rule)

    def delete_run(self) -> None:
        """Delete a run that has ended."""
        number = self.random.randrange(len(self.runs))
        if self.runs[number] is self.run or not any(row.run == number for row in self.model.rows):
            return
        files = self.random.random() < 0.5
        edits.delete(locate(), [self.runs[number].id], files=files)
        self.model.delete(number, files=files)


def on_disk(path: str, text: str) -> dict[str, str]:
    """Return the files that make up a checkpoint: itself, or what is in its folder."""
    if Path(path).suffix:
        return {path: text}
    return {f"{path}/config.json": "{}", f"{path}/weights": text}


def read(path: Path) -> str:
    """Return what tells a checkpoint from others."""
    return (path / "weights" if path.is_dir() else path).read_text()


def take_away(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def files_here(folder: Path = Path()) -> dict[str, str]:
    """Return all files below a folder, but for those of the tracker: name → content."""
    found: dict[str, str] = {}
    for path in folder.iterdir():
        if not path.is_dir():
            found[path.as_posix()] = path.read_text()
        elif path.name != ".tracker":
            found |= files_here(path)
    return found


def store_files() -> list[Path]:
    """Return the files in the store."""
    folder = Path(".tracker/checkpoints")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def differences(seeds: range, folder: Path, steps: int = 40) -> dict[int, str]:
    """Return how the product differs from the model: seed → what was done, and what is different.

    Each sequence has the same folder, emptied: statements that are compiled for its database need not be again.
    """
    found: dict[int, str] = {}
    before, at = Path.cwd(), folder / "sequence"
    for seed in seeds:
        (at / ".tracker").mkdir(parents=True)
        os.chdir(at)
        sequence = Sequence(seed)
        try:
            difference: Any = sequence.run_all(steps)
        finally:
            sequence.finish()
            os.chdir(before)
            shutil.rmtree(at)
        if difference is not None:
            found[seed] = difference
    return found
