"""Run a random sequence on the product and on the model, and compare them after each step."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import tracker
from tests.registry.model import Model, Row
from tracker.checkpointing.store import folder_of
from tracker.errors import CheckpointError
from tracker.maintenance import adoption, edits, store
from tracker.maintenance.checkpoints import pin, verify
from tracker.queries import api as queries
from tracker.storage.database import reading
from tracker.storage.location import locate

PATHS = ("best.pt", "last.pt", "c/best.pt")
MOVED = ("moved/1.pt", "moved/2.pt")


class Sequence:
    """One random sequence in the working directory."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.model = Model()
        self.runs: list[tracker.Run] = []
        self.run: tracker.Run | None = None
        self.ids: dict[int, str] = {}
        self.said: list[str] = []
        self.counter = 0

    def run_all(self, steps: int) -> str | None:
        """Take steps until the product differs from the model; return how."""
        actions: list[Callable[[], None]] = [
            *[self.save] * 8, *[self.start] * 3, self.resume, self.prune, self.prune, self.pin, self.delete_file,
            self.edit, self.move, self.write, self.adopt, self.relocate, self.verify, self.gc, self.delete_run,
        ]  # fmt: skip
        self.start()
        for _ in range(steps):
            action = self.random.choice(actions)
            self.said.append(action.__name__)
            action()
            if (difference := self.difference()) is not None:
                return f"{' '.join(self.said)}: {difference}"
        return None

    def difference(self) -> str | None:
        """Compare rows, the user's files and the store."""
        with reading(locate()) as reader:
            rows = {row["id"]: row for row in queries.checkpoints(reader).dicts()}
        for row in self.model.rows:
            found = rows.pop(self.ids[id(row)])
            there = row.state == "available" and self.model.actual(row)
            state = "missing" if there == "missing" else row.state
            recorded = "pruned" if found["state"] == "overwritten" else found["state"]
            if (recorded, found["path"]) != (state, row.path):
                return f"{row} is {found['state']} at {found['path']}"
            if there == "available" and Path(found["file"]).read_text() != row.content:
                return f"{row} has other bytes at {found['file']}"
        if rows:
            return f"rows that should not be: {rows}"
        files = {
            path.relative_to(Path.cwd()).as_posix(): path.read_text()
            for path in Path.cwd().rglob("*")
            if path.is_file() and ".tracker" not in path.parts
        }
        if files != self.model.files:
            return f"files {files}, expected {self.model.files}"
        stored = sorted(path.read_text() for path in store_files())
        expected = sorted(row.content for row in self.model.rows if row.stored)
        return None if stored == expected else f"store {stored}, expected {expected}"

    def start(self) -> None:
        """Begin another run."""
        self.finish()
        experiment = self.random.choice(("digits", "letters"))
        self.run = tracker.start_run(experiment)
        self.model.experiments[len(self.runs)] = experiment
        self.runs.append(self.run)

    def resume(self) -> None:
        """Continue an earlier run."""
        self.finish()
        number = self.random.randrange(len(self.runs))
        try:
            self.run = self.runs[number] = tracker.start_run(resume=self.runs[number].id)
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
        text, value = self.content(), self.random.random()
        path = self.random.choice(PATHS)
        made = run.save_checkpoint(
            path, lambda to: to.write_text(text), monitor="val_loss", value=value
        )
        row = Row(number, run.attempt, path, value, text)
        self.ids[id(row)] = made.id
        self.model.save(row)

    def prune(self) -> None:
        """Delete some checkpoints of the run."""
        number, run = self.active()
        rows = [row for row in self.model.available(number) if self.random.random() < 0.7]
        ids = {self.ids[id(row)] for row in rows}
        run.prune_checkpoints([one for one in run.checkpoints() if one.id in ids])
        self.model.prune(number, rows)

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
            Path(path).unlink()
            del self.model.files[path]

    def edit(self) -> None:
        """Write into a file, as a user does; other names of the same file are not touched."""
        path = self.file()
        if path is not None:
            self.put(path, self.content())

    def write(self) -> None:
        """Write a file of the user's own, also over one of ours."""
        self.put(self.random.choice((*PATHS, *MOVED)), self.content())

    def put(self, path: str, text: str) -> None:
        """Write a file as programs do: a new one takes the name."""
        target = Path(path)
        target.parent.mkdir(exist_ok=True)
        target.with_suffix(".new").write_text(text)
        target.with_suffix(".new").replace(target)
        self.model.files[path] = text

    def move(self) -> None:
        """Move a file."""
        path = self.file()
        if path is not None:
            self._move(path)

    def _move(self, path: str) -> str:
        target = self.random.choice([name for name in MOVED if name != path])
        Path(target).parent.mkdir(exist_ok=True)
        Path(path).replace(target)
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

    def verify(self) -> None:
        """Check all files."""
        verify(locate(), jobs=1)
        self.model.verify()

    def gc(self) -> None:
        """Clear the store."""
        store.clean(locate(), store.plan(locate()))
        self.model.clear_store()

    def delete_run(self) -> None:
        """Delete a run that has ended."""
        number = self.random.randrange(len(self.runs))
        if self.runs[number] is self.run or not any(row.run == number for row in self.model.rows):
            return
        files = self.random.random() < 0.5
        edits.delete(locate(), [self.runs[number].id], files=files)
        self.model.delete(number, files=files)


def store_files() -> list[Path]:
    """Return the files in the store."""
    folder = folder_of(locate())
    return sorted(folder.iterdir()) if folder.is_dir() else []


def differences(seeds: range, folder: Path, steps: int = 40) -> dict[int, str]:
    """Return how the product differs from the model: seed → what was done, and what is different."""
    found: dict[int, str] = {}
    before = Path.cwd()
    for seed in seeds:
        at = folder / str(seed)
        at.mkdir()
        os.chdir(at)
        (at / ".tracker").mkdir()
        sequence = Sequence(seed)
        try:
            difference: Any = sequence.run_all(steps)
        finally:
            sequence.finish()
            os.chdir(before)
        if difference is not None:
            found[seed] = difference
    return found
