"""What the registry should say, and which files there should be: plain lists, no database, no hashes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Row:
    """One checkpoint. ``stored``: its bytes are in the store, and not at ``path``."""

    run: int
    attempt: int
    path: str
    value: float
    content: str
    state: str = "available"
    stored: bool = False
    pinned: bool = False


@dataclass
class Model:
    """The rows in the order of their creation, the user's files, and the experiment of each run in order of start."""

    rows: list[Row] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    experiments: dict[int, str] = field(default_factory=dict)

    def actual(self, row: Row) -> str:
        """Return the state that a row's file is in."""
        if row.stored:
            return "available"
        if row.path not in self.files:
            return "missing"
        return "available" if self.files[row.path] == row.content else "modified"

    def save(self, row: Row) -> None:
        """Save a file: another run's, or a pinned one, is kept first."""
        kept = False
        for old in self.at(row.path):
            worth = old.pinned or old.run != row.run
            old.stored = worth and self.actual(old) == "available"
            kept = kept or old.stored
            if not old.stored:
                old.state = "pruned"
        self.files[row.path] = row.content
        self.rows.append(row)
        if kept:
            self.clear_store()

    def at(self, path: str) -> list[Row]:
        """Return the rows that say that a path has their bytes."""
        return [
            row
            for row in self.rows
            if row.path == path and not row.stored and row.state == "available"
        ]

    def clear_store(self) -> None:
        """Let the best of each experiment stay, and pinned ones."""
        stored = [row for row in self.rows if row.stored]
        for experiment in set(self.experiments.values()):
            group = [row for row in stored if self.experiments[row.run] == experiment]
            for row in group:
                if not row.pinned and row.value > min(one.value for one in group):
                    row.stored, row.state = False, "pruned"

    def prune(self, run: int, chosen: list[Row]) -> None:
        """Delete files of a run, other than the best, the last and pinned ones."""
        known = sorted(self.available(run), key=lambda row: row.attempt)
        best = min((row.value for row in known), default=None)
        for row in chosen:
            if row not in known or row.pinned or row is known[-1] or row.value == best:
                continue
            state = self.actual(row)
            if state == "missing":
                row.state = "missing"
            elif state == "available":
                if not row.stored:
                    del self.files[row.path]
                row.state, row.stored = "pruned", False

    def available(self, run: int) -> list[Row]:
        """Return a run's rows that are recorded as available."""
        return [row for row in self.rows if row.run == run and row.state == "available"]

    def verify(self) -> None:
        """Record the state that each file is in."""
        for row in self.rows:
            if row.state != "pruned":
                row.state = self.actual(row)

    def adopt(self, path: str) -> bool:
        """Let a row that has lost its file be at a path; say whether there is one."""
        same = [row for row in self.rows if row.content == self.files[path]]
        if any(row in self.at(path) for row in same):
            return False
        for row in reversed(same):
            if row.state == "pruned" or self.actual(row) != "available":
                self.move(row, path)
                return True
        return False

    def move(self, row: Row, path: str) -> None:
        """Let a row be at a path; another one that was said to be there is not there."""
        for other in self.at(path):
            other.state = "pruned"
        row.path, row.state, row.stored = path, "available", False

    def relocate(self, old: str, new: str) -> None:
        """Let the row of a file that was moved be at its new path."""
        for row in self.rows:
            known = row.path == old and not row.stored and row.state != "pruned"
            if known and self.files.get(new) == row.content:
                self.move(row, new)

    def delete(self, run: int, *, files: bool) -> None:
        """Delete a run, and with ``files`` those that are as they were and not pinned."""
        for row in self.available(run):
            if files and not row.stored and not row.pinned and self.actual(row) == "available":
                del self.files[row.path]
        self.rows = [row for row in self.rows if row.run != run]
