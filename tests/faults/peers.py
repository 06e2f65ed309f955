"""``python -m tests.faults.peers``: kills and full disks for this project and for others, and the table of both."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stream import interpreter
from tests.faults.disks import can_mount, small_disk
from tests.faults.kills import kill_hard
from tests.faults.recorders.script import loss_of
from tests.faults.report import PEERS, write_table
from tests.faults.schedule import MEMORY
from tests.helpers import ROOT

RECORDERS = {
    "tracker_loop": "tracker",
    "tracker_keras_fit": "tracker",
    "keras_csv": "tracker",
    "tensorboardx": "tensorboardx",
    "trackio": "trackio",
    "mlflow": "mlflow",
}
"""Recorders, and the environments of `benchmarks.stream` that have them."""
VARIABLES = {"KERAS_BACKEND": "torch", "MLFLOW_DISABLE_TELEMETRY": "true"}
LONGEST, HANGS = 120.0, 30.0
MORE = 4
"""Epochs that are trained after a kill."""
EPOCHS, FULL = 60, (10, 40)
DISK_BYTES, PAGE_BYTES, MOST_PAGES = 16 << 20, 4096, 4


@dataclass
class Seen:
    """What was seen of a recorder.

    Attributes:
        title: which one.
        version: its release.
        kills: trials.
        acknowledged: epochs whose call had returned.
        lost: those of them that are not there.
        twice: epochs that are there more than once after the next start.
        unreadable: stores that cannot be read after a kill.
        oldest: how many seconds before the kill the oldest lost epoch was acknowledged, at most.
        statuses: what killed runs are called.
        resumed: next starts that went on by themselves; None where a recorder does not resume trainings.
        trained_again: epochs that they have trained although they were acknowledged.
        disks: trials.
        went_on: trainings that came to their end.
        kept: recorded epochs before, while, and after the disk was full.
        damaged: stores that cannot be read after that.
        stopped_by: the exceptions that ended the others.
        note: why something is missing.
    """

    title: str = ""
    version: str = ""
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    unreadable: int = 0
    oldest: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    resumed: int | None = None
    trained_again: int = 0
    disks: int = 0
    went_on: int = 0
    kept: list[int] = field(default_factory=lambda: [0, 0, 0])
    damaged: int = 0
    stopped_by: Counter[str] = field(default_factory=Counter)
    note: str = ""


class Server:
    """A process that forks trainings and readers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.about = self._answer()

    def begin(self, do: str, folder: Path, **script: Any) -> int:
        """Begin to ``train`` or ``read`` in a folder; returns the process id."""
        return int(self._ask({"do": do, "folder": str(folder), **script})["pid"])

    def collect(self, pid: int, seconds: float = LONGEST) -> int:
        """Wait for a process; returns its exit code. One that takes longer is killed."""
        give_up = time.monotonic() + seconds
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            if time.monotonic() > give_up:
                kill_hard(pid)
            time.sleep(0.005)
        return int(self._ask({"collect": pid})["code"])

    def read(self, folder: Path) -> tuple[dict[int, list[float]], str] | None:
        """Return the losses of each epoch, and the status; None where the recorder cannot read its store."""
        pid = self.begin("read", folder, epochs=0)
        if self.collect(pid) != 0:
            return None
        found = json.loads((folder.parent / "found").read_text())
        return {int(epoch): losses for epoch, losses in found["losses"].items()}, found["status"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("does not start; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def recorder(name: str, store: Path) -> Iterator[Server]:
    """Give a recorder, in the environment that has it, for stores at a path."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    process = subprocess.Popen(
        [interpreter(RECORDERS[name]), "-m", "tests.faults.recorders.serve", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **VARIABLES, "PYTHONPATH": paths, "TRACKIO_DIR": str(store)},
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield Server(process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def acknowledged(folder: Path) -> list[tuple[int, float]]:
    """Return the epochs that were acknowledged, and when, in their order."""
    path = folder / "acknowledged"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(epoch), when) for epoch, when in map(json.loads, lines)]


def is_kept(losses: dict[int, list[float]], epoch: int) -> bool:
    """Say whether an epoch is there, in single precision at least."""
    return any(math.isclose(loss, loss_of(epoch), rel_tol=1e-6) for loss in losses.get(epoch, []))


def kill(recorder: Server, folder: Path, rng: random.Random, seen: Seen) -> None:
    """Kill a training at a random moment, check what is left, and resume it."""
    (folder / "work").mkdir()
    pid = recorder.begin("train", folder / "work", epochs=10_000, pause=0.02)
    give_up = time.monotonic() + LONGEST
    while not acknowledged(folder) and time.monotonic() < give_up:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 1))
    kill_hard(pid)
    killed = time.time()
    recorder.collect(pid)
    before = acknowledged(folder)
    seen.kills += 1
    seen.acknowledged += len(before)
    if (found := recorder.read(folder / "work")) is None:
        seen.unreadable += 1
        return
    losses, status = found
    lost = [when for epoch, when in before if not is_kept(losses, epoch)]
    seen.lost += len(lost)
    seen.oldest = max([seen.oldest, *(killed - when for when in lost)])
    seen.statuses[status or "nothing"] += 1
    if recorder.about["resumes"]:
        resume(recorder, folder, len(before), seen)


def resume(recorder: Server, folder: Path, before: int, seen: Seen) -> None:
    """Start the training again: it resumes by itself, at the epoch after the last one, or trains some of them again."""
    last = acknowledged(folder)[-1][0]
    pid = recorder.begin("train", folder / "work", epochs=last + 1 + MORE)
    done = recorder.collect(pid) == 0
    after = [epoch for epoch, _ in acknowledged(folder)[before:]]
    seen.resumed = (seen.resumed or 0) + (done and after[-1:] == [last + MORE])
    seen.trained_again += sum(epoch <= last for epoch in after)
    if (found := recorder.read(folder / "work")) is not None:
        seen.twice += sum(len(losses) > 1 for losses in found[0].values())


def fill(recorder: Server, folder: Path, rng: random.Random, seen: Seen) -> None:
    """Fill the disk during a training, and free it again before the end."""
    with small_disk(folder / "work", DISK_BYTES) as disk:
        left = rng.randint(0, MOST_PAGES) * PAGE_BYTES
        pid = recorder.begin("train", disk, epochs=EPOCHS, pause=0.05, full=FULL, left=left)
        seen.disks += 1
        if (code := recorder.collect(pid, HANGS)) == 0:
            seen.went_on += 1
        elif code == -signal.SIGKILL:
            seen.stopped_by[f"a call that had not returned after {HANGS:.0f} s"] += 1
        else:
            seen.stopped_by[raised(folder)] += 1
        (disk / "filler").unlink(missing_ok=True)
        if (found := recorder.read(disk)) is None:
            seen.damaged += 1
            return
    for place, epochs in enumerate((range(FULL[0]), range(*FULL), range(FULL[1], EPOCHS))):
        seen.kept[place] += sum(is_kept(found[0], epoch) for epoch in epochs)


def raised(folder: Path) -> str:
    """Return the class of the exception that ended a training."""
    found = re.findall(
        r"^(?:[\w.]+\.)?(\w+(?:Error|Exception))\b", (folder / "said").read_text(), re.M
    )
    return f"`{found[-1]}`" if found else "no exception"


def tried(name: str, kills: int, disks: int, seed: int) -> Seen:
    """Try a recorder; one that cannot be installed or started has a note."""
    seen, rng = Seen(title=name), random.Random(seed)
    try:
        memory = MEMORY if MEMORY.is_dir() else None
        with ExitStack() as stack:
            place = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(prefix=f"faults-{name}-", dir=memory)
                )
            )
            one = stack.enter_context(recorder(name, place / "try/work"))
            seen.title, seen.version = one.about["title"], one.about["version"]
            for trial in [kill] * kills + [fill] * (disks if can_mount(place) else 0):
                (place / "try").mkdir()
                trial(one, place / "try", rng, seen)
                shutil.rmtree(place / "try")
    except RuntimeError as error:
        seen.note = str(error)
    print(seen, flush=True)
    return seen


HEAD = """\
| | Version | Acknowledged epochs lost | A killed run is called | Started again | Recorded twice \
| Disk full: trainings that went on | Epochs kept before / while / after it was full | Stores that cannot be read |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def table(all_seen: Sequence[Seen]) -> str:
    """Write the table, with what it was made of."""
    kills, disks = all_seen[0].kills, all_seen[0].disks
    rows = "\n".join(_row(seen) for seen in all_seen if seen.kills)
    notes = "".join(f"\n- {seen.title}: {seen.note}" for seen in all_seen if seen.note)
    return (f"{kills} kills and {disks} disks for each.\n\n{HEAD}{rows}\n{notes}").rstrip()


def _row(seen: Seen) -> str:
    lost = f"{seen.lost} of {seen.acknowledged}"
    if seen.lost:
        lost += f", the oldest {seen.oldest:.2f} s old"
    statuses = ", ".join(f"{status}: {count}" for status, count in seen.statuses.most_common())
    again = f"resumes, {seen.resumed} of {seen.kills}; epochs trained again: {seen.trained_again}"
    went_on = f"{seen.went_on} of {seen.disks}"
    if seen.stopped_by:
        went_on += f" (the others ended by {', '.join(seen.stopped_by)})"
    lengths = (FULL[0], FULL[1] - FULL[0], EPOCHS - FULL[1])
    kept = " / ".join(
        f"{kept} of {seen.disks * length}" for kept, length in zip(seen.kept, lengths, strict=True)
    )
    cells = (
        seen.title,
        seen.version,
        lost,
        statuses,
        again if seen.resumed is not None else "by the script's own notes",
        str(seen.twice) if seen.resumed is not None else "–",
        went_on,
        kept,
        str(seen.unreadable + seen.damaged),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Try those that were asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.peers", description=__doc__)
    parser.add_argument("--only", default=",".join(RECORDERS), help="recorders, such as trackio")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--disks", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write it into docs/reliability.md")
    arguments = parser.parse_args()
    text = try_all(arguments.only.split(","), arguments.kills, arguments.disks, arguments.seed)
    print(text)
    if arguments.write:
        write_table(PEERS, text)


def try_all(names: Sequence[str], kills: int, disks: int, seed: int) -> str:
    """Try recorders, as many beside each other as there are processors; returns the table."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return table(list(threads.map(lambda name: tried(name, kills, disks, seed), names)))


if __name__ == "__main__":
    main()
