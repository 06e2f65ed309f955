"""The files of one ModelCheckpoint: which of them stay, and which have to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tracker import Run, policies
from tracker_torch.state.path_template import FileName

File = tuple[str, float | None, int | None]


class KeptFiles:
    """What is kept, and what is about to go; remembered by the path below the folder.

    Only where some have to go, files need remembering: else the list stays empty.

    Attributes:
        files: (path, value, epoch) of what is kept, oldest first.
        sizes: bytes of each, where the rule goes by them.
        going: what is to be deleted: ``file``, and the facts of the decision. It is kept in the
            state that is recorded with the save, so that a resumed run carries out what a kill
            prevented.
    """

    def __init__(self, name: FileName, rule: policies.Retention) -> None:
        self.name, self.rule = name, rule
        self.files: list[File] = []
        self.sizes: dict[str, int] = {}
        self.going: list[dict[str, Any]] = []

    def load(self, saved: Mapping[str, Any]) -> None:
        """Resume with the lists of the attempt before."""
        self.files = [(path, value, epoch) for path, value, epoch in saved.get("files", ())]
        self.sizes = dict(saved.get("sizes", {}))
        self.going = list(saved.get("going", ()))

    def as_dict(self) -> dict[str, Any]:
        """Return the lists as plain data."""
        lists = {"files": [list(file) for file in self.files], "going": list(self.going)}
        return lists if self.rule.size is None else {**lists, "sizes": dict(self.sizes)}

    def refuses(self, path: Path, value: float | None, epoch: int) -> str | None:
        """Say why a new file would not be kept; None where it would."""
        short = self.name.short(path)
        kept = self.rule.choose([*self._others(short), (short, value, epoch)], self.sizes)
        return kept.reasons[kept.drop.index(short)] if short in kept.drop else None

    def add(
        self, path: Path, size: int, value: float | None, epoch: int, best: Mapping[str, Any]
    ) -> None:
        """Count a file of ``size`` bytes that was saved, and condemn those it pushes out."""
        if self.rule.settings is None:
            return
        short = self.name.short(path)
        self.files = [*self._others(short), (short, value, epoch)]
        self.sizes[short] = size
        kept = self.rule.choose(self.files, self.sizes)
        reasons = dict(zip(kept.drop, kept.reasons, strict=True))
        for file in kept.drop:
            facts = {"epoch": epoch, "reason": reasons[file], "value": value, **best}
            self.going.append({"file": file, **facts})
        self.files = [file for file in self.files if file[0] not in reasons]
        self.sizes = {file[0]: self.sizes.get(file[0], 0) for file in self.files}

    def prune(self, run: Run, record: Callable[..., None]) -> None:
        """Delete what is to go; each file that is gone is recorded as a decision.

        A file that is there, but of which the database says nothing now, waits for the next turn.
        """
        for condemned in list(self.going):
            facts = dict(condemned)
            path = self.name.folder / facts.pop("file")
            recorded = [entry for entry in run.checkpoints() if entry.path == path]
            if not recorded and _taken(path):
                continue
            self.going.remove(condemned)
            # Without a file: an earlier attempt deleted it before it was killed.
            if not recorded or run.prune_checkpoints(recorded, why=facts["reason"]):
                record(path, **facts)

    def _others(self, short: str) -> list[File]:
        return [file for file in self.files if file[0] != short]


def _taken(path: Path) -> bool:
    return path.exists() or path.is_symlink()
