"""One step metric on the pages of others: from the start of the server until its last point is shown."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import numpy as np

HEAD = (
    "",
    "version",
    "points",
    "from its start until drawn",
    "drawn again",
    "answer",
    "points in it",
    "peak kept",
)
WHAT = (
    "One metric, from the start of each server until it answers with the last of its points, as a chart asks; then the "
    "same again. The peak is the highest of all values: where an answer is without it, so is the curve."
)
_GIVE_UP = 300.0
_PAUSE = 0.05
_NEARLY = 0.99
"""Of the steps: who draws some of the points need not draw the last."""


@dataclass(frozen=True)
class Drawn:
    """What a chart is given: the last step, how many points, and the highest value."""

    last: int
    points: int
    highest: float


Reader = Callable[[httpx.Response], Drawn]


class NeverDrawn(Exception):
    """A server did not show the last point; the text says why."""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def _running(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _timed(
    server: subprocess.Popen[bytes], ask: Callable[[], httpx.Response], read: Reader, points: int
) -> tuple[float, float, httpx.Response, Drawn]:
    """Ask until the answer has the last point; return the seconds that took, and those of the same once more."""
    started = time.perf_counter()
    while True:
        try:
            answer = ask()
            drawn = read(answer) if answer.status_code == httpx.codes.OK else None
        except (httpx.TransportError, ValueError, LookupError):
            drawn = None
        if drawn is not None and drawn.last >= _NEARLY * points:
            first = time.perf_counter() - started
            break
        if server.poll() is not None:
            raise NeverDrawn("its server ended")
        if time.perf_counter() - started > _GIVE_UP:
            raise NeverDrawn(f"not within {_GIVE_UP:.0f} s")
        time.sleep(_PAUSE)
    again = time.perf_counter()
    answer = ask()
    return first, time.perf_counter() - again, answer, read(answer)


def _ours(folder: Path, data: np.ndarray) -> tuple[float, float, httpx.Response, Drawn]:
    import tracker

    database = folder / "peers.db"
    with tracker.start_run("long", "long", database=database, system_metrics=False) as run:
        for step, value in enumerate(data.tolist()):
            run.log({"loss": value}, step=step)
    port, key = _free_port(), "benchmark"

    def ask() -> httpx.Response:
        return httpx.get(
            f"http://127.0.0.1:{port}/api/v1/runs/long/series", params={"name": "loss"},
            headers={"Authorization": f"Bearer {key}"}, timeout=60,
        )  # fmt: skip

    def read(answer: httpx.Response) -> Drawn:
        count = int(answer.headers["x-points"])
        columns = np.frombuffer(answer.content, "<f8")
        return Drawn(int(columns[count - 1]), count, float(columns[count : 2 * count].max()))

    options = ("--port", str(port), "--no-open", "--database", str(database))
    with _running("-m", "tracker", "ui", *options, TRACKER_UI_TOKEN=key) as server:
        return _timed(server, ask, read, len(data))


def _tensorboard(folder: Path, data: np.ndarray) -> tuple[float, float, httpx.Response, Drawn]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    logs = folder / "tensorboard"
    logs.mkdir()
    with (logs / "events.out.tfevents.0.benchmark").open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
        for step, value in enumerate(data.tolist()):
            summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
            event = Event(wall_time=float(step), step=step, summary=summary)
            writer.write(event.SerializeToString())
    port = _free_port()

    def ask() -> httpx.Response:
        address = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars"
        return httpx.get(address, params={"run": ".", "tag": "loss"}, timeout=60)

    options = (
        "--logdir",
        str(logs),
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--reload_interval",
        "1",
    )
    with _running("-m", "tensorboard.main", *options) as server:
        return _timed(server, ask, _of_tensorboard, len(data))


def _of_tensorboard(answer: httpx.Response) -> Drawn:
    rows = answer.json()
    return Drawn(int(rows[-1][1]), len(rows), max(row[2] for row in rows))


_RECORD_WITH_TRACKIO = """
import sys
import numpy as np
import trackio
trackio.init("stream", name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False)
for step, value in enumerate(np.load(sys.argv[1]).tolist()):
    trackio.log({"loss": value}, step=step)
trackio.finish()
"""
_SHOW_WITH_TRACKIO = (
    "import trackio; "
    "trackio.show('stream', host='127.0.0.1', server_port={}, open_browser=False, block_thread=True)"
)


def _trackio(folder: Path, data: np.ndarray) -> tuple[float, float, httpx.Response, Drawn]:
    # It reads the name of its folder once in a process.
    place = {"TRACKIO_DIR": str(folder / "trackio")}
    np.save(folder / "values.npy", data)
    subprocess.run(
        [sys.executable, "-c", _RECORD_WITH_TRACKIO, str(folder / "values.npy")],
        env=os.environ | place, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    port = _free_port()
    asked = {"project": "stream", "runs": [{"run": "run"}], "max_points": 3000, "scalar_only": True}

    def ask() -> httpx.Response:
        # What its page asks for its charts.
        return httpx.post(f"http://127.0.0.1:{port}/api/get_logs_batch", json=asked, timeout=120)

    with _running("-c", _SHOW_WITH_TRACKIO.format(port), **place) as server:
        return _timed(server, ask, _of_trackio, len(data))


def _of_trackio(answer: httpx.Response) -> Drawn:
    (run,) = answer.json()["data"]
    rows = run["logs"]
    return Drawn(int(rows[-1]["step"]), len(rows), max(row["loss"] for row in rows))


def compared(folder: Path, sizes: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the rows of the table: this project, and those peers that are installed, for each number of points."""
    peers: dict[str, tuple[str, Callable[[Path, np.ndarray], Any]]] = {
        "**this project**": ("local-tracker", _ours),
        "TensorBoard": ("tensorboard", _tensorboard),
        "trackio": ("trackio", _trackio),
    }
    rows = []
    for points in sizes:
        data = np.random.default_rng(0).normal(size=points).astype(np.float32)
        place = folder / str(points)
        place.mkdir()
        for name, (package, measure) in peers.items():
            if package == "local-tracker" or find_spec(package) is not None:
                head = (name, version(package), f"{points:,}".replace(",", " "))
                rows.append((*head, *_cells(measure, place, data)))
    return rows


def _cells(measure: Callable[[Path, np.ndarray], Any], folder: Path, data: np.ndarray) -> list[str]:
    try:
        first, again, answer, drawn = measure(folder, data)
    except NeverDrawn as why:
        return [str(why), *("—",) * (len(HEAD) - 4)]
    kept = "yes" if drawn.highest == float(data.max()) else "no"
    size = f"{len(answer.content) / 1e3:.0f} kB"
    return [f"{first:.1f} s", f"{again * 1e3:.0f} ms", size, str(drawn.points), kept]
