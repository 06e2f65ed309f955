"""One recorder, one process, one JSON object: what recording and reading back cost.

Run by `stream.py`, with the interpreter of the recorder's own environment:

    python -P benchmarks/measure.py tracker speed FOLDER --points 100000 --metrics 4
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

HERE = Path(__file__).parent
WARM_UP = 1000
WARM_UP_RUNS = 3
LATENCY_SECONDS = 15.0
SHARE_SECONDS, SHARE_RATE = 5.0, 200


def load(name: str) -> Any:
    """Import a file beside this one under a name that hides no installed package."""
    spec = importlib.util.spec_from_file_location(
        f"bench_{name.replace('/', '_')}", HERE / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def latency(log: Any, calls: list[dict[str, float]], number: int) -> dict[str, float]:
    """Time single calls, for at most 15 seconds; µs, the clock's own cost taken off."""
    clock, took = time.perf_counter_ns, []
    empty = sorted(_ticks(clock))[500]
    until = time.monotonic() + LATENCY_SECONDS
    for step in range(number):
        metrics = calls[step % len(calls)]
        start = clock()
        log(metrics, step)
        took.append(clock() - start - empty)
        if step % 64 == 0 and time.monotonic() > until:
            break
    shares = np.percentile(took, [50, 99, 100]) / 1e3
    return {**dict(zip(("p50", "p99", "max"), shares.tolist(), strict=True)), "calls": len(took)}


def _ticks(clock: Any) -> list[int]:
    return [-clock() + clock() for _ in range(1000)]


def speed(peer: Any, folder: Path, calls: list[dict[str, float]], points: int) -> dict[str, float]:
    """Record ``points`` as fast as it goes until they are durable, then read them back."""
    process, width = psutil.Process(), len(calls[0])
    recorder = peer.Peer(folder, list(calls[0]))
    for step in range(WARM_UP):
        recorder.log(calls[step % len(calls)], step)
    time.sleep(1.5)
    base = peak = _memory(process)
    log, mask = recorder.log, len(calls) - 1
    before, started = _cpu(process), time.perf_counter()
    for step in range(WARM_UP, WARM_UP + points // width):
        log(calls[step & mask], step)
        if not step & 0x3FFF:
            peak = max(peak, _memory(process))
    recorder.close()
    seconds = time.perf_counter() - started
    cpu = _cpu(process) - before
    peak = max(peak, _memory(process))
    total = points // width * width + WARM_UP * width
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "points": points,
        "seconds": seconds,
        "cpu": cpu,
        "mib": (peak - base) / 2**20,
        "bytes": size / total,
        **read(recorder, total),
    }


def read(recorder: Any, total: int) -> dict[str, float]:
    """Read everything into pandas, up to three times; the best counts."""
    took: list[float] = []
    while len(took) < 3 and sum(took) < 20:
        started = time.perf_counter()
        frame = recorder.read()
        took.append(time.perf_counter() - started)
        if len(frame) != total:
            raise SystemExit(f"{len(frame)} rows came back, {total} were recorded")
        del frame
    return {"read": min(took)}


def share(peer: Any, folder: Path, calls: list[dict[str, float]]) -> dict[str, float]:
    """Return what share of a core a paced loop of 200 steps a second pays for being recorded."""
    process = psutil.Process()
    bare = _paced(lambda metrics, step: None, calls, process)
    recorder = peer.Peer(folder, list(calls[0]))
    recorder.log(calls[0], 0)
    recorded = _paced(recorder.log, calls, process)
    recorder.close()
    return {"share": max(0.0, recorded - bare)}


def tiny(peer: Any, folder: Path, calls: list[dict[str, float]], runs: int) -> dict[str, float]:
    """Return the processor seconds of a run of five calls, children included, after a few that do not count."""
    process, before = psutil.Process(), 0.0
    for number in range(-WARM_UP_RUNS, runs):
        if number == 0:
            before = _cpu(process)
        recorder = peer.Peer(folder, list(calls[0]))
        log = getattr(recorder, "log_epoch", recorder.log)
        for step in range(5):
            log(calls[step % len(calls)], step)
        recorder.close()
    return {"cpu": (_cpu(process) - before) / runs}


def _paced(log: Any, calls: list[dict[str, float]], process: psutil.Process) -> float:
    before, started = _cpu(process), time.perf_counter()
    for step in range(int(SHARE_SECONDS * SHARE_RATE)):
        log(calls[step % len(calls)], step)
        time.sleep(max(0.0, started + (step + 1) / SHARE_RATE - time.perf_counter()))
    return (_cpu(process) - before) / (time.perf_counter() - started)


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    return sum(_asked(lambda p: sum(p.cpu_times()[:2]), each) for each in _family(process))


def _memory(process: psutil.Process) -> float:
    return sum(_asked(lambda p: p.memory_info().rss, each) for each in _family(process))


def _asked(question: Any, process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(question(process))
    return 0.0


def main() -> None:
    """Measure what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer")
    parser.add_argument("what", choices=["latency", "speed", "share", "tiny"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--metrics", type=int, default=4)
    chosen = parser.parse_args()
    output, sys.stdout = sys.stdout, sys.stderr  # peers print
    calls = load("curves").calls(chosen.metrics)
    peer = load(f"peers/{chosen.peer}")
    if chosen.what == "latency":
        recorder = peer.Peer(chosen.folder, list(calls[0]))
        latency(recorder.log, calls, 200)
        found = latency(recorder.log, calls, chosen.points // chosen.metrics)
        recorder.close()
    elif chosen.what == "share":
        found = share(peer, chosen.folder, calls)
    elif chosen.what == "tiny":
        found = tiny(peer, chosen.folder, calls, chosen.points)
    else:
        found = speed(peer, chosen.folder, calls, chosen.points)
    print(json.dumps({**found, "version": peer.version()}), file=output, flush=True)


if __name__ == "__main__":
    main()
