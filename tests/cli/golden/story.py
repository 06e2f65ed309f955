"""Runs with fixed ids, times and values, as the entries that a recorder would have written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tracker import policies, values
from tracker.recording.sampled import FIRST_BLOCK
from tracker.series.batch import Batch, Column
from tracker.series.blocks import SeriesWriter
from tracker.states import RunStatus
from tracker.storage import entries
from tracker.storage.entries import Entry

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() * 1e6)
"""When the views are looked at, in µs since 1970: a Sunday, 13:00 in `ZONE`."""
ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"
"""Central European time, in the notation that needs no database of time zones."""

CAPTURED = {
    "command": ["python", "train.py", "--lr", "0.003"],
    "folder": "/home/ada/digits",
    "python": "3.12.4",
    "machine": {"system": "Linux-6.8", "processor": "x86_64", "cores": 16, "memory_bytes": 67_108_864_000},
    "packages": {"local-tracker": "0.2.0", "numpy": "2.1.0", "torch": "2.8.0"},
    "git": {"commit": "4f0c2d9a7be1", "branch": "main", "modified": True, "remote": None},
}  # fmt: skip


@dataclass
class Story:
    """One run.

    Args:
        id: its id, 12 hexadecimal digits.
        name, experiment: what it is called.
        ago: hours from its start to `NOW`.
    """

    id: str
    name: str
    experiment: str
    ago: float
    host: str = "node-7"
    columns: dict[str, Any] = field(default_factory=dict)
    """Columns of its row that no entry has: note, parent_id, price_per_hour."""

    def __post_init__(self) -> None:
        self.started = NOW - int(self.ago * 3_600_000_000)
        self.clock = self.started
        self.attempt = 1
        self.decisions = 0
        self.entries: list[Entry] = []
        self._begin({})

    @property
    def attempt_id(self) -> str:
        """The id of the current attempt."""
        return f"{self.id[1:]}{self.attempt}"

    def _begin(self, captured: Mapping[str, Any]) -> None:
        process = {
            "host": self.host, "boot_id": "golden", "pid_namespace": "", "pid": 4242, "process_started": 1.0
        }  # fmt: skip
        facts = values.to_json({**CAPTURED, **captured})
        origin = entries.origin(
            "golden", (self.id, self.name, self.experiment), self.attempt_id, self.attempt,
            self.clock, process, facts,
        )  # fmt: skip
        origin["run"]["started"] = self.started
        origin["attempt"]["heartbeat"] = self.clock
        self.entries += [origin, entries.attempt(self.attempt_id, captured=facts)]

    def params(self, **given: Any) -> Story:
        """Add hyperparameters."""
        self.entries.append(entries.params(self.id, given, self.attempt))
        return self

    def tags(self, given: Mapping[str, str] | Sequence[str]) -> Story:
        """Add labels."""
        self.entries.append(entries.tags(self.id, given))
        return self

    def captured(self, **facts: Any) -> Story:
        """Add facts about the attempt."""
        text = values.to_json({**CAPTURED, **facts})
        self.entries.append(entries.attempt(self.attempt_id, captured=text))
        return self

    def epoch(self, number: int, metrics: Mapping[str, float], seconds: float = 2.5) -> Story:
        """Add an epoch."""
        split = [(name, *values.split(value)) for name, value in metrics.items()]
        rate = metrics.get("learning_rate")
        self.entries.append(
            entries.epoch(
                self.id,
                self.attempt,
                number,
                self.clock,
                seconds,
                rate,
                split,
                step=43 * (number + 1),
            )
        )
        self.clock += int(seconds * 1e6)
        return self

    def policy(self, number: int, kind: str, monitor: str | None, **config: Any) -> str:
        """Add a callback; returns its id."""
        id = f"{self.id[:8]}c{self.attempt}{number:02}"
        self.entries.append(
            entries.policy(
                {
                    "id": id, "run_id": self.id, "attempt": self.attempt, "number": number, "kind": kind,
                    "monitor": monitor, "rules": "tracker-1", "config": values.to_json(config),
                }
            )
        )  # fmt: skip
        return id

    def decide(
        self, policy: str, verdict: policies.Verdict, *, path: str | None = None, word: str = ""
    ) -> None:
        """Add a decision."""
        self.decisions += 1
        value, value_kind = values.split(verdict.value)
        best, best_kind = values.split(verdict.best)
        self.entries.append(
            entries.decision(
                {
                    "run_id": self.id, "attempt": self.attempt, "number": self.decisions,
                    "policy_id": policy, "epoch": verdict.epoch, "step": 43 * (verdict.epoch + 1),
                    "monitor": verdict.monitor, "value": value, "value_kind": value_kind, "best": best,
                    "best_kind": best_kind, "best_epoch": verdict.best_epoch, "wait": verdict.wait,
                    "verdict": word or verdict.verdict, "reason": verdict.reason,
                    "lr_before": verdict.lr_before, "lr_after": verdict.lr_after, "path": path,
                    "state": None, "decided": self.clock, "superseded": False,
                },
                claims=True,
            )
        )  # fmt: skip

    def save(
        self,
        folder: Path,
        path: str,
        size: int,
        *,
        epoch: int,
        value: float | None = None,
        monitor: str | None = "val_loss",
        policy: str | None = None,
        pinned: bool = False,
    ) -> Story:
        """Write a file, and add the checkpoint that it is."""
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        data = f"{self.id} {epoch}".encode().ljust(size, b"\0")
        place.write_bytes(data)
        split, kind = values.split(value)
        created = sum(entry["kind"] == "checkpoint" for entry in self.entries)
        self.entries.append(
            entries.checkpoint(
                {
                    "id": hashlib.sha256(f"{self.id}{created}".encode()).hexdigest()[:12], "run_id": self.id,
                    "attempt": self.attempt, "policy_id": policy, "path": path, "bytes": size,
                    "sha256": hashlib.sha256(data).hexdigest(), "epoch": epoch, "step": 43 * (epoch + 1),
                    "monitor": monitor, "value": split, "value_kind": kind,
                    "metrics": json.dumps({} if value is None else {str(monitor): value}),
                    "state": "available", "pending": False, "pinned": pinned, "created": self.clock,
                }
            )
        )  # fmt: skip
        return self

    def steps(
        self, names: Mapping[str, Iterable[float]], every: float = 0.5, first: int = 0
    ) -> Story:
        """Add step metrics, one call after the other; names under ``system/`` are samples of the machine."""
        columns = [Column(name, None, np.array(list(one), float)) for name, one in names.items()]
        count = len(columns[0].values)
        is_system = all(name.startswith("system/") for name in names)
        steps = np.arange(first, first + count) * (int(every) if is_system else 1)
        times = self.started + (np.arange(count) * every * 1e6).astype(np.int64)
        writer = SeriesWriter(first_number=FIRST_BLOCK if is_system else 0)
        writer.add([Batch(steps.astype(np.int64), times, columns)])
        self.entries += [entries.series(self.id, self.attempt, block) for block in writer.pending()]
        self.clock = max(self.clock, int(times[-1]))
        return self

    def end(
        self, status: RunStatus, *, reason: str | None = None, error: str | None = None
    ) -> Story:
        """End the attempt, and the run."""
        entry = entries.end(self.id, self.attempt_id, self.attempt, status, reason, error)
        self.entries.append({**entry, "ended": self.clock})
        self.entries.append(entries.attempt(self.attempt_id, heartbeat=self.clock))
        return self

    def resume(self, after: float) -> Story:
        """Begin another attempt, some hours later."""
        self.clock += int(after * 3_600_000_000)
        self.attempt += 1
        self._begin({})
        return self

    def running(self) -> Story:
        """Be heard of now."""
        self.entries.append(entries.attempt(self.attempt_id, heartbeat=NOW))
        return self


def curve(epoch: int, rate: float, floor: float, overfit: float) -> float:
    """Return a validation loss that falls to a floor and rises again, with a little noise that is always the same."""
    noise = 0.006 * math.sin(7.3 * epoch + 50 * rate)
    return round(floor + 2.1 * math.exp(-rate * (epoch + 1)) + overfit * epoch + noise, 6)
