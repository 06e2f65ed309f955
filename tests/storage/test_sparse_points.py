"""Names that few calls have come back as they were logged, whatever was killed, resumed, repeated and imported late."""

from __future__ import annotations

import pytest

from tests.helpers.sparse_program import run_program


@pytest.mark.parametrize("seed", range(20))
def test_any_program_comes_back_as_it_was_logged(seed: int) -> None:
    run_program(seed)
