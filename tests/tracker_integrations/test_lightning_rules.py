"""`lightning-2.6` decides as Lightning does, and replays of what was recorded say so again."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

pytest.importorskip("lightning", reason="make test-neighbours")

import torch
from lightning.pytorch.callbacks import EarlyStopping

from tests.helpers.lightning_replay import differs, random_settings
from tests.helpers.replayed import random_series
from tracker import policies

CAUSES = {"patience": "patience_exhausted", "threshold": "stopping_threshold",
          "divergence": "divergence_threshold", "not-finite": "non_finite_metric"}  # fmt: skip


def lightning(settings: dict[str, Any], series: list[float], dtype: torch.dtype) -> list[Any]:
    """Return what Lightning's own callback says to a series: stopped or not, its best and its wait at each check."""
    callback = EarlyStopping("val_loss", **settings)
    said: list[Any] = []
    for value in series:
        stops, _ = callback._evaluate_stopping_criteria(torch.tensor(value, dtype=dtype))
        cause = callback.stopping_reason.name.lower() if stops else None
        said.append((cause, callback.best_score.item(), callback.wait_count))
    return said


def ours(settings: dict[str, Any], series: list[float]) -> list[Any]:
    """Return the same by our rule."""
    rule = policies.EarlyStopping("val_loss", rules=policies.LIGHTNING, **settings)
    worst = math.inf if settings["mode"] == "min" else -math.inf
    state, said = rule.initial(), []
    for epoch, value in enumerate(series):
        state, verdict = rule.step(state, epoch, value)
        cause = CAUSES[str(verdict.stopped_by)] if verdict.stop else None
        said.append((cause, worst if state.best is None else state.best, state.wait))
        # Lightning's callback forgets nothing of it; in a training it is not asked again.
        if verdict.stop:
            break
    return said


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rule_is_lightning_s_in_a_thousand_random_series(dtype: torch.dtype) -> None:
    chance = random.Random(1)
    for _ in range(1000):
        settings = random_settings(chance)
        series = [torch.tensor(one, dtype=dtype).item() for one in random_series(chance)]
        ended = ours(settings, series)
        assert ended == lightning(settings, series, dtype)[: len(ended)], (settings, series)


@pytest.mark.parametrize(
    "seeds", [range(30), range(30, 60), range(139, 140)], ids=lambda seeds: f"{seeds[0]}-"
)
@pytest.mark.filterwarnings("ignore")
def test_replays_of_recorded_trainings_stop_save_and_delete_as_they_did(seeds: range) -> None:
    """``python -m tests.helpers.lightning_replay --count 1000`` tries more."""
    assert [told for told in map(differs, seeds) if told is not None] == []
