"""A sample of random programs; ``python -m tests.programs`` runs as many as one likes."""

from __future__ import annotations

from pathlib import Path

from tests.programs.compare import differences
from tests.programs.model import Model
from tests.programs.program import Block, Programs, Train

SAMPLE = range(100_000, 100_012)


def test_what_is_recorded_is_what_one_would_draw_on_paper(folder: Path) -> None:
    assert differences(SAMPLE, folder) == {}


def test_the_sample_has_what_people_do() -> None:
    text = "".join(str(Programs(seed).program()) for seed in SAMPLE)
    for word in ("torch", "keras", "Block", "Threads", "resume=True", "ValueError", "stopped"):
        assert word in text


def test_the_model_knows_a_difference() -> None:
    """A training in a block is no run of its own; the one within its epoch is, below the block's."""
    inner = Train("torch", 2, "inner", epochs=1)
    outer = Train("torch", 1, "outer", epochs=2, inner=((1, inner),))
    block, child = Model().execute((Block("block", (outer,)),))
    assert (block.name, block.parent, block.epochs) == ("block", None, {0: 1000.0, 1: 1001.0})
    assert (child.name, child.parent, child.steps) == ("inner", "block", [1, 2])
