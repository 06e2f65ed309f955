"""Power loss: what a disk may hold when the power goes at any moment of a recorded work.

The work's calls are written down with their data (`calls.c`), and played into images of the disk. Two models:

- strict POSIX: data is on the disk once its file was fsynced, a name once its folder was; of everything else a
  random part is, writes torn at 512 bytes.
- like ext4 with ordered data: names and sizes reach the disk in the order they were made, all of them with any
  fsync; of the data that was not fsynced, a random part.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.family import Family, Result, share_of
from tests.faults.oracle import Oracle, noted
from tests.faults.processes import Place, forks

SECTOR = 512
MODELS = ("strict POSIX", "like ext4")


@dataclass(frozen=True)
class Call:
    """One call of the trace."""

    kind: str
    one: str
    two: str = ""
    at: int = 0
    data: bytes = b""


def read_trace(path: Path) -> list[Call]:
    """Return the calls, in the order they were made."""
    text, calls, at = path.read_bytes(), [], 0
    while at < len(text):
        end = text.index(b"\n", at)
        kind, one, two, number, size = text[at:end].decode().split("\t")
        at = end + 1
        data = text[at : at + int(size)]
        at += int(size)
        calls.append(Call(kind, one, two, int(number), data))
    return calls


@dataclass
class File:
    """A file on the disk: what was written, in order, and how much of that is there for certain."""

    changes: list[Call] = field(default_factory=list)
    synced: int = 0

    def content(self, keep: Iterable[Call]) -> bytes:
        """Return its bytes after some of its changes."""
        data = bytearray()
        for change in keep:
            if change.kind == "size":
                data = data[: change.at] + bytes(max(0, change.at - len(data)))
                continue
            if len(data) < change.at:
                data += bytes(change.at - len(data))
            data[change.at : change.at + len(change.data)] = change.data
        return bytes(data)


class Disk:
    """What is on a disk after the first calls of a trace, and what may be."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._now: dict[str, File | None] = {root: None}
        """Path → file; None for a folder."""
        self._names: list[tuple[int, Call, File | None]] = []
        """Changes of names, with their number."""
        self._certain: set[int] = set()

    def play(self, calls: Sequence[Call]) -> None:
        """Make calls, as if the power stayed."""
        for number, call in enumerate(calls):
            self._play(number, call)

    def _play(self, number: int, call: Call) -> None:
        if call.kind in ("write", "size"):
            file = self._now.get(call.one.removesuffix(" (deleted)"))
            if file is not None and not call.one.endswith(" (deleted)"):
                file.changes.append(call)
        elif call.kind == "sync":
            self._sync(call.one)
        elif call.kind == "make" and self._now.get(call.one) is not None:
            self._now[call.one].changes.append(Call("size", call.one))  # type: ignore[union-attr]
        elif call.kind != "mark":
            self._rename(number, call)

    def _sync(self, path: str) -> None:
        if path not in self._now:
            return
        file = self._now[path]
        if file is not None:
            file.synced = len(file.changes)
            return
        for number, call, _ in self._names:
            if path in (_folder(call.one), _folder(call.two)):
                self._certain.add(number)

    def _rename(self, number: int, call: Call) -> None:
        file: File | None = None
        if call.kind == "make":
            file = File()
        elif call.kind in ("rename", "link", "unlink"):
            file = self._now.get(call.one)
        self._names.append((number, call, file))
        apply(self._now, call, file)

    def image(self, folder: Path, model: str, rng: random.Random) -> None:
        """Lay down what the disk may hold."""
        strict = model == "strict POSIX"
        if strict:
            kept = [one for one in self._names if one[0] in self._certain or rng.random() < 0.5]
        else:
            certain = [place for place, one in enumerate(self._names) if one[0] in self._certain]
            least = certain[-1] + 1 if certain else 0
            kept = self._names[: rng.randint(least, len(self._names))]
        names: dict[str, File | None] = {self._root: None}
        for _, call, file in kept:
            apply(names, call, file)
        for path, file in sorted(names.items()):
            target = folder / Path(path).relative_to(self._root)
            if not all(
                str(parent) in names
                for parent in Path(path).parents
                if str(parent).startswith(self._root)
            ):
                continue
            if file is None:
                target.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                target.write_bytes(file.content(_survivors(file, rng)))


def apply(names: dict[str, File | None], call: Call, file: File | None) -> None:
    """Change names as a call does; one whose subject is not there, because the power went, changes nothing."""
    if call.kind in ("make", "mkdir"):
        names[call.one] = file
    elif call.kind == "unlink":
        names.pop(call.one, None)
    elif call.kind == "link":
        names[call.two] = file
    elif call.kind == "rename":
        if call.one in names:
            del names[call.one]
        names[call.two] = file


def _survivors(file: File, rng: random.Random) -> list[Call]:
    """Return the changes that are on the disk: all that were synced, and a part of the others, perhaps torn."""
    kept = list(file.changes[: file.synced])
    for change in file.changes[file.synced :]:
        if rng.random() < 0.5:
            continue
        if change.kind == "write" and rng.random() < 0.3:
            torn = len(change.data) // SECTOR * SECTOR
            change = Call(
                "write",
                change.one,
                "",
                change.at,
                change.data[: rng.randint(0, torn // SECTOR) * SECTOR],
            )
        kept.append(change)
    return kept


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def power_losses(folder: Path, share: float, rng: random.Random) -> Result:
    """Images of the disk at random moments of six epochs with checkpoints and prunes, in both models."""
    result = Result()
    with forks(folder) as starting:
        place = Place(folder / "recorded")
        trace = folder / "trace"
        answer = starting.start(place, "record", trace=str(trace), given={"epochs": 6})
        assert answer["code"] == 0, place.raised()
        calls = read_trace(trace)
        acknowledged = noted(place.acknowledged)
        for number in range(share_of(2 * 1000, share)):
            model = MODELS[number % 2]
            until = rng.randint(1, len(calls))
            with Place(folder / f"image{number}") as image:
                disk = Disk(str(place.work))
                disk.play(calls[:until])
                disk.image(image.work, model, rng)
                with result.trial(f"{model}, after call {until}"):
                    check_image(image, acknowledged, calls[:until])
                    if number % 20 == 0:
                        assert starting.start(image, "recover")["code"] == 0, image.raised()
                        Oracle(image.work).check_nothing_runs()
                        result.count("of them recovered by a start")
                result.count(model)
    return result


def check_image(
    image: Place, acknowledged: dict[str, dict[int, float]], calls: Sequence[Call]
) -> None:
    """What was acknowledged before the power went is there, and each available checkpoint is complete."""
    oracle = Oracle(image.work)
    done = sum(call.kind == "mark" for call in calls)
    if not oracle.path.exists():
        assert done == 0, "the database is gone"
        return
    oracle.check_database()
    if not oracle.has_tables():
        assert done == 0, "the tables are gone"
        return
    oracle.check_available()
    recorded = oracle.recorded()
    for run, epochs in acknowledged.items():
        for epoch in range(done):
            assert recorded.get(run, {}).get(epoch) == epochs[epoch], f"epoch {epoch} is lost"


FAMILIES = [
    Family(
        "A6",
        "power loss at a random moment, images in two models of a disk",
        "1, 4",
        2000,
        0.02,
        power_losses,
        minutes=1.5,
    )
]
