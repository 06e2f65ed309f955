"""Weights & Biases offline: a log file of records, written by a process of its own."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

HEADER, BLOCK, CHUNK = 7, 1 << 15, struct.Struct("<IHB")


def version() -> str:
    """Return the release that is measured."""
    from importlib.metadata import version as installed

    return installed("wandb")


class Peer:
    """``wandb.log`` with ``mode="offline"``, without console capture and system metrics."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(folder))
        import wandb

        self.folder, self.names = folder, names
        settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True)
        self.run = wandb.init(project="stream", dir=str(folder), settings=settings)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log a call."""
        self.run.log(metrics, step=step)

    def close(self) -> None:
        """Return when the process of its own has written everything."""
        self.run.finish()

    def read(self) -> Any:
        """Return a long pandas frame from the file of records; there is no reader for users."""
        from wandb.proto.wandb_internal_pb2 import Record

        rows: list[tuple[str, int, float, float]] = []
        for data in _records(next(self.folder.rglob("*.wandb")).read_bytes()):
            record = Record.FromString(data)
            if record.WhichOneof("record_type") != "history":
                continue
            items = record.history.item
            values = {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items}
            step, time = values["_step"], values["_timestamp"]
            rows += [(name, step, time, values[name]) for name in self.names]
        return pd.DataFrame(rows, columns=["name", "step", "time", "value"])


def _records(data: bytes) -> Iterator[bytes]:
    """Take apart a LevelDB log: blocks of 32 KiB, chunks of crc, length, type (1 whole, 4 last)."""
    at, parts = HEADER, []
    while at + CHUNK.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < CHUNK.size:
            at += left
            continue
        _, length, kind = CHUNK.unpack_from(data, at)
        at += CHUNK.size + length
        parts.append(data[at - length : at])
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []
