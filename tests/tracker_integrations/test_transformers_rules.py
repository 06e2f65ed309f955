"""`transformers-5` decides as the Trainer does: replays of what was recorded say so again."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="make test-neighbours")

from tests.helpers.transformers_replay import differs


@pytest.mark.parametrize("seeds", [range(30), range(30, 60)], ids=lambda seeds: f"{seeds[0]}-")
@pytest.mark.filterwarnings("ignore")
def test_replays_of_recorded_trainings_stop_save_and_delete_as_they_did(seeds: range) -> None:
    """``python -m tests.helpers.transformers_replay --count 1000`` tries more."""
    assert [told for told in map(differs, seeds) if told is not None] == []
