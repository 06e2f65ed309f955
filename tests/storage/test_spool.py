"""What waits for the database survives a kill, a full disk and damage, in order."""

from __future__ import annotations

import math
import os
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracker.storage.location import locate
from tracker.storage.spool import Spool, damaged_lines, read_file, spool_files, spool_path


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"kind": "epoch", "epoch": number, **more}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool" / "a1.jsonl")


def numbers(spool: Spool) -> list[int]:
    return [one["epoch"] for one in spool.read()]


def test_entries_come_back_bit_equal_and_in_order(spool: Spool) -> None:
    values = [math.inf, -math.inf, -0.0, 0.1, 5e-324, None, "a\nb\u2028\x1f", b"\x00\xff", 2**80]
    spool.append([entry(0, values=values)])
    spool.append([entry(1)])
    back = read_file(spool.path)
    assert [repr(value) for value in back[0]["values"]] == [repr(value) for value in values]
    assert [one["epoch"] for one in back] == [0, 1]


def test_a_torn_last_line_is_left_out(spool: Spool) -> None:
    spool.append([entry(0), entry(1)])
    whole = spool.path.read_bytes()
    for cut in range(2, len(whole) // 2):
        spool.path.write_bytes(whole[:-cut])
        assert numbers(spool) == [0]
        assert damaged_lines(spool.path) == 0


def test_a_torn_line_in_the_middle_takes_no_other_with_it(spool: Spool) -> None:
    """A disk that refuses the rest of a line may refuse to take its beginning back, too."""
    spool.append([entry(0), entry(1)])
    os.truncate(spool.path, spool.path.stat().st_size - 3)
    spool.append([entry(2)])
    assert numbers(spool) == [0, 2]
    assert damaged_lines(spool.path) == 1


def test_what_stays_still_says_whose_it_is(tmp_path: Path) -> None:
    origin: Any = {"kind": "origin", "database": "a.db"}
    spool = Spool(tmp_path / "a1.jsonl", lambda: origin)
    spool.append([entry(0), entry(1)])
    applied = len(spool.read())
    spool.append([entry(2)])
    spool.clear(applied)
    assert spool.read() == [origin, entry(2)]
    spool.append([entry(3)])
    spool.replace([entry(3)])
    assert spool.read() == [origin, entry(3)]
    spool.clear(2)
    assert not spool.path.exists()


def test_a_damaged_line_is_left_out_and_counted(spool: Spool) -> None:
    spool.append([entry(0), entry(1), entry(2)])
    lines = spool.path.read_bytes().splitlines(keepends=True)
    for offset in range(len(lines[1]) - 1):
        broken = bytearray(lines[1])
        broken[offset] ^= 0x10
        spool.path.write_bytes(lines[0] + bytes(broken) + lines[2])
        assert numbers(spool) == [0, 2]
        assert damaged_lines(spool.path) >= 1


def test_what_was_applied_is_forgotten_and_what_came_since_stays(spool: Spool) -> None:
    spool.append([entry(0), entry(1)])
    applied = len(spool.read())
    spool.append([entry(2)])
    spool.clear(applied)
    assert numbers(spool) == [2]
    spool.clear(1)
    assert spool.empty
    assert not spool.path.exists()
    assert list(spool.path.parent.iterdir()) == []


def test_a_kill_while_it_is_cleared_loses_nothing(spool: Spool, monkeypatch: Any) -> None:
    """The rest is complete under another name before the old file goes."""
    spool.append([entry(0), entry(1)])
    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        spool.clear(1)
    assert numbers(Spool(spool.path)) == [0, 1]


def killed(descriptor: int) -> None:
    raise KeyboardInterrupt


def test_a_disk_that_takes_nothing_keeps_entries_in_memory_and_tries_again(spool: Spool) -> None:
    in_the_way = spool.path.parent
    in_the_way.write_text("a file where the folder should be")
    assert isinstance(spool.append([entry(0)]), OSError)
    assert isinstance(spool.append([entry(1)]), OSError)
    assert numbers(spool) == [0, 1]
    in_the_way.unlink()
    assert spool.append([entry(2)]) is None
    assert [one["epoch"] for one in read_file(spool.path)] == [0, 1, 2]


def test_entries_in_memory_can_be_applied_too(spool: Spool) -> None:
    spool.append([entry(0)])
    spool.path.rename(spool.path.with_name("moved"))
    spool.path.mkdir()
    spool.append([entry(1)])
    spool.path.rmdir()
    spool.path.with_name("moved").rename(spool.path)
    spool.append([])
    assert numbers(spool) == [0, 1]
    spool.clear(2)
    assert spool.empty


def test_a_value_that_json_does_not_know_raises_nothing(spool: Spool) -> None:
    assert spool.append([entry(0, wait=np.int64(3), path=Path("a"), odd={1, 2})]) is None
    assert spool.read()[0]["wait"] == 3


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_it(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        spool = Spool(tmp_path / "gone" / ".tracker" / "spool" / "a1.jsonl")
        spool.append([entry(0)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    for folder in spool.path.parents[:3]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_threads_append_whole_lines(spool: Spool) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 20):
            spool.append([entry(number)])

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 160, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(spool)) == list(range(160))
    assert spool.count == 160


def test_spools_are_found_beside_the_database_oldest_first(tmp_path: Path) -> None:
    location = locate(tmp_path / "t.db")
    assert spool_files(location) == []
    for age, name in [(1, "b"), (2, "a"), (0, "c")]:
        spool = Spool(spool_path(location, name))
        spool.append([entry(0)])
        os.utime(spool.path, (100 - age, 100 - age))
    assert [path.stem for path in spool_files(location)] == ["a", "b", "c"]


def test_a_link_in_the_spools_folder_is_not_written_through(spool: Spool) -> None:
    victim = spool.path.parent.parent / "victim"
    victim.write_text("theirs")
    spool.append([entry(0), entry(1)])
    spool.path.with_suffix(".new").symlink_to(victim)
    spool.clear(1)
    assert victim.read_text() == "theirs"
    assert numbers(spool) == [1]
