"""ReduceLROnPlateau, rule by rule."""

import json
import math

import pytest

from tracker.errors import BadValue
from tracker.policies import KERAS, TRACKER, PlateauState, ReduceLROnPlateau

NAN = math.nan


def play(policy, values, lr=1.0, state=None):
    """Feed values one epoch after the other; return all verdicts."""
    state = state or policy.initial()
    verdicts = []
    for epoch, value in enumerate(values):
        state, verdict = policy.step(state, epoch, value, lr)
        lr = verdict.lr_after
        verdicts.append(verdict)
    return verdicts


def rates(policy, values, lr=1.0):
    """Return the learning rate after each epoch."""
    return [verdict.lr_after for verdict in play(policy, values, lr)]


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_patience(rules):
    """It reduces when the wait reaches patience."""
    policy = ReduceLROnPlateau(factor=0.5, patience=2, rules=rules)
    assert rates(policy, [1, 1, 1, 1, 1]) == [1, 1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_cooldown(rules):
    """Epochs of a cooldown do not count."""
    policy = ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2, rules=rules)
    verdicts = play(policy, [1, 1, 1, 1, 1])
    assert [v.lr_after for v in verdicts] == [1, 0.5, 0.5, 0.25, 0.25]
    assert verdicts[2].reason.endswith("cooling down for 1 more epoch")


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_min_lr(rules):
    """It never goes below min_lr."""
    policy = ReduceLROnPlateau(factor=0.5, patience=1, min_lr=0.375, rules=rules)
    verdicts = play(policy, [1, 1, 1, 1])
    assert [v.lr_after for v in verdicts] == [1, 0.5, 0.375, 0.375]
    assert [v.verdict for v in verdicts] == ["improved", "reduced", "reduced", "waited"]
    assert verdicts[-1].reason.endswith("learning rate 0.375 cannot go below min_lr 0.375")


def test_min_delta():
    """An improvement within min_delta does not count."""
    policy = ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.1)
    assert rates(policy, [1, 0.95, 0.91]) == [1, 1, 0.5]
    assert rates(policy, [1, 0.95, 0.89]) == [1, 1, 1]


def test_rates_under_keras_rules():
    """Under Keras rules learning rates are single precision."""
    policy = ReduceLROnPlateau(factor=0.1, patience=1, rules=KERAS)
    (_, last) = play(policy, [1, 1], lr=0.1)
    assert last.lr_before == 0.10000000149011612
    assert last.lr_after == 0.009999999776482582


def test_rates_under_our_rules():
    """Under our rules learning rates are doubles."""
    assert rates(ReduceLROnPlateau(factor=0.1, patience=1), [1, 1], lr=0.1)[-1] == 0.1 * 0.1


def test_nan():
    """A NaN is never best and counts as a wait."""
    verdicts = play(ReduceLROnPlateau(factor=0.5, patience=2), [NAN, 1, NAN, NAN])
    assert [v.verdict for v in verdicts] == ["waited", "improved", "waited", "reduced"]
    assert verdicts[-1].best == 1


def test_nan_under_keras_rules():
    """Under Keras rules a first NaN is best for ever."""
    verdicts = play(ReduceLROnPlateau(factor=0.5, patience=2, rules=KERAS), [NAN, 1, 0.5])
    assert [v.verdict for v in verdicts] == ["improved", "waited", "reduced"]


def test_missing_metric():
    """An epoch without the metric is skipped whole."""
    state = PlateauState(wait=1, best=1.0, best_epoch=0, cooldown_counter=2)
    after, verdict = ReduceLROnPlateau().step(state, 4, None, 0.5)
    assert after == state
    assert (verdict.verdict, verdict.lr_after) == ("skipped", 0.5)


def test_reason():
    """The reason names value, best, wait and both learning rates."""
    (*_, last) = play(ReduceLROnPlateau(patience=1, min_delta=0.001), [0.349, 0.3512], lr=0.01)
    assert last.reason == (
        "val_loss 0.3512 did not beat 0.3490 (epoch 0) by 0.001; 1 of 1 waits; "
        "learning rate 0.01 lowered to 0.001"
    )


def test_lowered():
    """Each parameter group is lowered by itself."""
    policy = ReduceLROnPlateau(factor=0.1, min_lr=0.01)
    assert [policy.lowered(lr) for lr in (1.0, 0.05, 0.001)] == [0.1, 0.01, 0.001]


def test_resume():
    """Resume goes on with count and cooldown."""
    policy, values = ReduceLROnPlateau(factor=0.5, patience=2, cooldown=2), [1.0] * 9
    state, lr = policy.initial(), 1.0
    for epoch in range(4):
        state, verdict = policy.step(state, epoch, values[epoch], lr)
        lr = verdict.lr_after
    back = PlateauState.from_dict(json.loads(json.dumps(state.as_dict() | {"new": 1})))
    later = []
    for epoch in range(4, 9):
        back, verdict = policy.step(back, epoch, values[epoch], lr)
        lr = verdict.lr_after
        later.append(verdict)
    assert later == play(policy, values)[4:]


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
@pytest.mark.parametrize("factor", [1.0, 1, 2.5])
def test_factor(rules, factor):
    """A factor of one or more is refused."""
    with pytest.raises(BadValue, match=r"factor is .* below 1"):
        ReduceLROnPlateau(factor=factor, rules=rules)


@pytest.mark.parametrize(
    "wrong",
    [
        {"factor": -0.5},
        {"factor": None},
        {"patience": -1},
        {"cooldown": -1},
        {"cooldown": 1.5},
        {"min_lr": -1e-3},
        {"min_delta": NAN},
        {"mode": "up"},
        {"monitor": 7},
        {"rules": "torch"},
    ],
)
def test_refused(wrong):
    """What cannot be is refused with its name and value."""
    with pytest.raises(BadValue) as refused:
        ReduceLROnPlateau(**wrong)
    ((name, value),) = wrong.items()
    assert f"{name} is {value!r}" in str(refused.value)
