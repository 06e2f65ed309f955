"""A small sample of each family of faults; `make faults` runs them whole."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.families import FAMILIES
from tests.faults.family import Family
from tests.faults.processes import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C compiler, and Linux")

SLOW = {"P1", "P2", "P3", "P4", "E1", "B1"}
"""Their promises have tests of their own, in test_postgres.py, test_contention.py and test_disk.py."""


@pytest.mark.parametrize(
    "family", [one for one in FAMILIES if one.id not in SLOW], ids=lambda family: family.id
)
def test_nothing_is_violated(family: Family, folder: Path) -> None:
    result = family.run(folder, family.sample, random.Random(0))
    assert result.tried > 0
    assert result.violations == []
