"""A sample of random sequences and of kills; ``python -m tests.registry`` runs as many as one likes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.compare import Sequence, differences, store_files
from tests.registry.kills import wrong_after_kills

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
    kills, wrong = wrong_after_kills(folder, first=2, step=5)
    assert wrong == {}
    assert kills >= 4
