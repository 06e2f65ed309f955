"""The replay of many runs agrees with deciding one epoch after the other."""

import math
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.policies import (
    KERAS,
    LIGHTNING,
    TRACKER,
    TRANSFORMERS,
    EarlyStopping,
    replay_early_stopping,
)

PATIENCES = [0, 1, 2, 3, 7]
TIES = [0.5, 0.5000000005, 0.5 + 2**-24, 0.6, 0.4, 0.3, 0.0, -0.0, 1e39]
values = st.none() | st.sampled_from([*TIES, math.nan, math.inf, -math.inf]) | st.floats(-2, 2)
runs = st.lists(st.lists(values, max_size=14), max_size=4)
deltas = st.sampled_from([0.0, 0.1, -0.1, 1e-9, 0.5])
bounds = st.none() | st.sampled_from([0.4, 0.5, 1.0])
common = {
    "mode": st.sampled_from(["min", "max"]),
    "min_delta": deltas,
    "baseline": bounds,
    "start_from_epoch": st.sampled_from([0, 0, 2, 30]),
}
keras_configs = st.builds(EarlyStopping, rules=st.just(KERAS), **common)
tracker_configs = st.builds(
    EarlyStopping,
    rules=st.just(TRACKER),
    stopping_threshold=bounds,
    divergence_threshold=bounds,
    check_finite=st.booleans(),
    min_epochs=st.sampled_from([0, 0, 3, 30]),
    **common,
)
transformers_configs = st.builds(
    EarlyStopping,
    rules=st.just(TRANSFORMERS),
    mode=st.sampled_from(["min", "max"]),
    min_delta=deltas,
)

lightning_configs = st.builds(
    EarlyStopping,
    rules=st.just(LIGHTNING),
    mode=st.sampled_from(["min", "max"]),
    min_delta=deltas,
    stopping_threshold=bounds,
    divergence_threshold=bounds,
    check_finite=st.booleans(),
    min_epochs=st.sampled_from([0, 0, 3, 30]),
)


def one_by_one(run, config):
    """Return (stop epoch, best epoch, best) as `EarlyStopping.step` decides."""
    state, stop = config.initial(), -1
    for epoch, value in run:
        state, verdict = config.step(state, epoch, value)
        if verdict.stop:
            stop = epoch
            break
    return stop, -1 if state.best_epoch is None else state.best_epoch, state.best


def same(one, other):
    """Say whether two values are equal, a NaN or None equal to a NaN."""
    return one == other or (math.isnan(one) and (other is None or math.isnan(other)))


@settings(max_examples=400, deadline=None)
@given(
    runs,
    keras_configs | tracker_configs | transformers_configs | lightning_configs,
    st.sampled_from([0, 0, 1, 5]),
)
def test_agrees_with_step(recorded, config, first_epoch):
    """The replay decides as `step` does."""
    series = [list(enumerate(run, first_epoch)) for run in recorded]
    replayed = replay_early_stopping(series, PATIENCES, config)
    assert replayed.stop_epoch.shape == (len(series), len(PATIENCES))
    for row, run in enumerate(series):
        for column, patience in enumerate(PATIENCES):
            settled = EarlyStopping(**{**config.as_dict(), "patience": patience})
            stop, best_epoch, best = one_by_one(run, settled)
            assert replayed.stop_epoch[row, column] == stop
            assert replayed.best_epoch[row, column] == best_epoch
            assert same(float(replayed.best[row, column]), best)


def test_monotonous():
    """More patience never stops earlier."""
    rng = random.Random(1)
    series = [[(epoch, rng.random()) for epoch in range(60)] for _ in range(50)]
    stops = replay_early_stopping(series, range(1, 20), EarlyStopping()).stop_epoch
    latest = np.where(stops < 0, 60, stops)
    assert (np.diff(latest, axis=1) >= 0).all()


def test_nothing():
    """Without runs, patiences or epochs the arrays are empty or say none."""
    assert replay_early_stopping([], [1, 2], EarlyStopping()).best.shape == (0, 2)
    assert replay_early_stopping([[(0, 1.0)]], [], EarlyStopping()).best.shape == (1, 0)
    nothing = replay_early_stopping([[]], [3], EarlyStopping())
    assert (nothing.stop_epoch[0, 0], nothing.best_epoch[0, 0]) == (-1, -1)


def test_refused():
    """A patience that cannot be is refused."""
    with pytest.raises(BadValue, match="patience is -1"):
        replay_early_stopping([[(0, 1.0)]], [-1], EarlyStopping())


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_speed(rules):
    """A thousand runs with twenty patiences take less than a second of CPU."""
    rng = np.random.default_rng(0)
    losses = (1 / np.arange(1, 201) + rng.normal(0, 0.01, (1000, 200))).tolist()
    series = [list(enumerate(run)) for run in losses]
    began = time.process_time()
    replay_early_stopping(series, range(1, 21), EarlyStopping(rules=rules, min_delta=1e-4))
    assert time.process_time() - began < 1.0
