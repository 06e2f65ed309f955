"""A sample of random sequences and of kills; ``python -m tests.registry`` runs as many as one likes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.registry import kills, upload_kills
from tests.registry.compare import Sequence, differences, store_files

SAMPLE = range(100_000, 100_004)


def test_the_registry_says_and_keeps_what_the_model_does(folder: Path) -> None:
    assert differences(SAMPLE, folder, steps=30) == {}


@pytest.mark.parametrize("what", ["the store", "a file", "a row"])
def test_a_difference_is_seen(folder: Path, what: str) -> None:
    (folder / ".tracker").mkdir()
    sequence = Sequence(1)
    for step in (sequence.start, sequence.save, sequence.start, sequence.save):
        step()
    while not store_files():
        sequence.start()
        sequence.save()
    assert sequence.difference() is None
    if what == "the store":
        store_files()[0].write_text("other bytes")
    elif what == "a file":
        (folder / "stray.txt").write_text("of nobody")
    else:
        sequence.model.rows[0].state = "modified"
    assert sequence.difference() is not None
    sequence.finish()


def test_after_a_kill_the_path_is_whole_and_every_row_has_its_bytes(folder: Path) -> None:
    count, wrong = kills.wrong_after_kills(folder, first=2, step=5)
    assert wrong == {}
    assert count >= 4


@pytest.mark.parametrize(("protocol", "first", "step"), [("plain", 2, 7), ("file", 1, 5)])
def test_after_a_killed_upload_every_row_names_an_object_with_its_hash(
    folder: Path, protocol: str, first: int, step: int
) -> None:
    count, wrong = upload_kills.wrong_after_kills(folder, protocol, first=first, step=step)
    assert wrong == {}
    assert count >= 3


def test_an_upload_that_is_recorded_too_early_is_seen(folder: Path) -> None:
    """The check itself: with half an object behind a row."""
    upload_kills.wrong_after_kills(folder, "plain", first=1000)
    (whole,) = (folder / "plain-1000/far").rglob("a.pt")
    whole.write_text("a" * 100)
    os.chdir(folder / "plain-1000")
    assert "a.pt is modified" in str(upload_kills._wrong_rows())
