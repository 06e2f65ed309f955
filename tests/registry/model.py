"""What the registry should say, and which files there should be: plain lists, no database, no hashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Row:
    """One checkpoint. ``stored``: its bytes are in the store by a ``rule``, and not at ``path``."""

    run: int
    attempt: int
    path: str
    value: float
    content: str
    state: str = "available"
    stored: bool = False
    pinned: bool = False
    rule: str = "best"


def best_of(rows: Iterable[Row]) -> Row | None:
    """Return the first of those with the lowest value; a NaN never is it."""
    judged = (row for row in rows if row.value == row.value)
    return min(judged, key=lambda row: row.value, default=None)


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

    def save(self, row: Row, rule: str) -> None:
        """Save a file: another run's, or a pinned one, is kept first, by the rule of the run that saves."""
        kept = False
        for old in self.at(row.path):
            worth = old.pinned or (rule != "none" and old.run != row.run)
            old.stored, old.rule = worth and self.actual(old) == "available", rule
            kept = kept or old.stored
        self.log(row)
        if kept:
            self.clear_store()

    def log(self, row: Row) -> None:
        """Register what the user has written: what had the name is gone."""
        for old in self.at(row.path):
            old.state = "pruned"
        self.files[row.path] = row.content
        self.rows.append(row)

    def at(self, path: str) -> list[Row]:
        """Return the rows that say that a path has their bytes."""
        return [
            row
            for row in self.rows
            if row.path == path and not row.stored and row.state == "available"
        ]

    def clear_store(self, rule: str | None = None) -> None:
        """Let the best of each experiment stay, or of each run, and pinned ones; by a rule for all, or each one's."""
        oldest_first = sorted(self.rows, key=lambda row: (row.run, row.attempt))
        groups: dict[tuple[str, str | int], list[Row]] = {}
        for row in [row for row in oldest_first if row.stored]:
            asked = rule or row.rule
            if asked != "none":
                groups.setdefault(("experiment", self.experiments[row.run]), []).append(row)
            if asked == "run":
                groups.setdefault(("run", row.run), []).append(row)
        best = [best_of(group) for group in groups.values()]
        for row in self.rows:
            if row.stored and not row.pinned and row not in best:
                row.stored, row.state = False, "pruned"

    def prune(self, run: int, chosen: list[Row]) -> None:
        """Delete files of a run, other than the best, the last and pinned ones."""
        for row in [row for row in chosen if row in self.unprotected(run)]:
            state = self.actual(row)
            if state == "missing":
                row.state = "missing"
            elif state == "available":
                if not row.stored:
                    del self.files[row.path]
                row.state, row.stored = "pruned", False

    def unprotected(self, run: int) -> list[Row]:
        """Return which of a run's checkpoints may be deleted, oldest first."""
        known = sorted(self.available(run), key=lambda row: row.attempt)
        return [
            row for row in known if not (row.pinned or row is known[-1] or row is best_of(known))
        ]

    def beyond(self, run: int, keep: int, best: int) -> list[Row]:
        """Return what goes where the newest ``keep`` of those that may go stay, and the ``best`` of all."""
        free = self.unprotected(run)
        known = sorted(self.available(run), key=lambda row: row.attempt)
        ranked = sorted(known, key=lambda row: (row.value != row.value, row.value))
        return [row for row in free[: max(0, len(free) - keep)] if row not in ranked[:best]]

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
