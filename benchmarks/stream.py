"""Step metrics: what a call costs, how fast points get durable, how small they are, how fast they come back.

    python -m benchmarks.stream            everything, the peers in throwaway environments; half an hour
    python -m benchmarks.stream --quick    this project, the SQLite rows and the NumPy floor, a minute

Every figure comes from a process of its own (`measure.py`). Prints its tables and writes them, with the
machine, into docs/benchmarks.md. A peer that cannot be installed or fails is left out, with a note.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import page, stream_extra

HERE = Path(__file__).parent
ENVIRONMENTS = Path(tempfile.gettempdir()) / "local-tracker-peers"
PEERS = {
    "tracker": [],
    "sqlite_rows": [],
    "numpy_arrays": [],
    "trackio": ["trackio"],
    "tensorboardx": ["tensorboardX", "tensorboard"],
    "mlflow": ["mlflow"],
    "aim": ["aim"],
    "wandb": ["wandb"],
}
TITLES = {
    "tracker": "**this project**",
    "sqlite_rows": "SQLite, one row per point",
    "numpy_arrays": "NumPy arrays, saved at the end",
    "tensorboardx": "tensorboardX",
    "mlflow": "MLflow (SQLite)",
    "aim": "Aim",
    "wandb": "wandb offline",
}
SIZES = [10_000, 100_000, 1_000_000, 10_000_000]
LATENCY_POINTS = 200_000
Found = dict[str, float]


@dataclass
class Result:
    """What was measured of one recorder; ``note`` says why something is missing."""

    name: str
    version: str = ""
    latency: Found = field(default_factory=dict)
    share: Found = field(default_factory=dict)
    speeds: dict[int, Found] = field(default_factory=dict)
    note: str = ""

    @property
    def title(self) -> str:
        """The recorder's name in the tables."""
        return TITLES.get(self.name, self.name)

    @property
    def largest(self) -> Found:
        """The speeds at the most points that were measured."""
        return self.speeds[max(self.speeds)] if self.speeds else {}


def interpreter(name: str) -> str:
    """Return the Python that has a peer; make its environment where there is none.

    Raises:
        RuntimeError: with what pip said, when it cannot be installed.
    """
    if not PEERS[name]:
        return sys.executable
    folder = ENVIRONMENTS / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "-q", *PEERS[name], "numpy", "pandas", "psutil"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        ready.touch()
    return str(python)


def ask(python: str, name: str, what: str, points: int = 0, metrics: int = 4) -> Found:
    """Run one measurement in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-P", str(HERE / "measure.py"), name, what, folder]
        command += ["--points", str(points), "--metrics", str(metrics)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)} if not PEERS[name] else None
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"failed: {done.stderr.strip().splitlines()[-1]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(name: str, budget: float) -> Result:
    """Measure one recorder; a size that would take longer than ``budget`` seconds is left out."""
    result = Result(name)
    try:
        python = interpreter(name)
        result.latency = ask(python, name, "latency", LATENCY_POINTS)
        result.version = str(result.latency["version"])
        result.share = ask(python, name, "share")
        for size in SIZES:
            before = result.largest
            if before and (before["seconds"] + before["read"]) * size / before["points"] > budget:
                break
            result.speeds[size] = ask(python, name, "speed", size)
    except RuntimeError as error:
        result.note = str(error)
    return result


def report(results: list[Result], wide: dict[str, Found], extra: str) -> str:
    """Word everything that was found as Markdown."""
    notes = [f"- {result.title}: {result.note}" for result in results if result.note]
    shown = [result for result in results if result.latency]
    parts = [
        "## Step metrics\n",
        f"{page.machine()}. Four metrics a call, in single precision: loss and gradient norm with 1 % noise, "
        "accuracy of batches of 32, a cosine learning rate. Calls are timed one by one in a tight loop; "
        "“durable” ends when closing the run returned; bytes are those of the folder; reading is the best "
        "of three into a pandas frame with one row per point; the writer's share is the processor time that a "
        "loop of 200 steps a second pays beyond its own, of one core.\n",
        page.table(_HEAD, [_row(result) for result in shown]),
        "\n### From 10⁴ to 10⁷ points in one run\n",
        "Points a second until durable; MiB by which the process grew meanwhile; seconds back into pandas. "
        "A dash: it would have taken too long.\n",
        page.table(["", *(_power(size) for size in SIZES)], [_growth(result) for result in shown]),
        "\n### A hundred metrics a step\n",
        page.table(["", "points/s until durable", "bytes/point", "points/s back"], _wide(wide)),
        extra,
        "\n### Asked of this project\n",
        *_ratios({result.name: result for result in shown}),
        *(["\nLeft out, or in part:\n", *notes] if notes else []),
    ]
    return "\n".join(parts)


_HEAD = [
    "",
    "version",
    "call p50, µs",
    "p99, µs",
    "max, ms",
    "points/s until durable",
    "bytes/point",
    "points/s back",
    "writer's share",
    "measured at",
]


def _row(result: Result) -> list[str]:
    call, speed, share = result.latency, result.largest, result.share
    return [
        result.title,
        result.version,
        f"{call['p50']:.2f}",
        f"{call['p99']:.1f}",
        f"{call['max'] / 1e3:.1f}",
        _rate(speed, "seconds"),
        f"{speed['bytes']:.2f}" if speed else "—",
        _rate(speed, "read"),
        f"{share['share']:.1%}" if share else "—",
        _power(int(speed["points"])) if speed else "—",
    ]


def _growth(result: Result) -> list[str]:
    cells = []
    for size in SIZES:
        speed = result.speeds.get(size)
        cells.append(
            f"{_rate(speed, 'seconds')}; {speed['mib']:.0f} MiB; {speed['read']:.3g} s"
            if speed
            else "—"
        )
    return [result.title, *cells]


def _wide(wide: dict[str, Found]) -> list[list[str]]:
    return [
        [TITLES[name], _rate(s, "seconds"), f"{s['bytes']:.2f}", _rate(s, "read")]
        for name, s in wide.items()
    ]


def _rate(speed: Found | None, what: str) -> str:
    if not speed:
        return "—"
    rate = speed["points"] / speed[what]
    return f"{rate / 1e6:.2f} million" if rate >= 1e5 else f"{rate:,.0f}"


def _power(points: int) -> str:
    return "10" + str(len(str(points)) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _ratios(results: dict[str, Result]) -> list[str]:
    """Compare with the others of the same run; the best peer is the fastest at its largest size."""
    ours, lines = results["tracker"], []
    for other in ("trackio", "tensorboardx"):
        if other in results:
            ratio = results[other].latency["p50"] / ours.latency["p50"]
            lines.append(f"- A call costs {ratio:,.0f} × less than with {results[other].title}.")
    peers = [r for r in results.values() if PEERS[r.name] and r.largest]
    compared = [results[name] for name in ("sqlite_rows",) if name in results]
    if peers:
        compared.append(max(peers, key=lambda r: r.largest["points"] / r.largest["seconds"]))
    for other in compared:
        size = max(other.speeds)
        ratio = other.largest["seconds"] / ours.speeds[size]["seconds"]
        lines.append(
            f"- Points get durable {ratio:,.1f} × faster than with {other.title}, at {_power(size)}."
        )
    return lines


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="no peers, no 10⁷ points; prints only")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for one size")
    chosen = parser.parse_args()
    names = [n for n in chosen.peers if not (chosen.quick and PEERS[n])]
    if chosen.quick:
        SIZES.pop()
    results = []
    for name in names:
        print(f"{name} …", file=sys.stderr)
        results.append(measure(name, chosen.budget))
    points = SIZES[-1] if not chosen.quick else SIZES[-1] * 2
    wide = {n: ask(sys.executable, n, "speed", points, 100) for n in names if not PEERS[n]}
    text = report(results, wide, stream_extra.sections(quick=chosen.quick))
    print(text)
    if not chosen.quick:
        page.write("stream", text)


if __name__ == "__main__":
    main()
