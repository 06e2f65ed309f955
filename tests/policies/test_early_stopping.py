"""Early stopping, rule by rule; what Keras itself does is pinned in test_keras_differential.py."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest

from tracker.errors import BadValue
from tracker.policies import KERAS, TRACKER, EarlyStopping, EarlyStoppingState, StopCause

NAN, INF = math.nan, math.inf


def play(policy, values, first_epoch=0, state=None):
    """Feed values one epoch after the other until the policy says stop; return all verdicts."""
    state = state or policy.initial()
    verdicts = []
    for epoch, value in enumerate(values, first_epoch):
        state, verdict = policy.step(state, epoch, value)
        verdicts.append(verdict)
        if verdict.stop:
            break
    return verdicts


def stops_at(policy, values):
    """Return the epoch of the stop, None for none."""
    last = play(policy, values)[-1]
    return last.epoch if last.stop else None


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
@pytest.mark.parametrize(
    ("values", "patience", "stop"),
    [
        ([4, 3, 3, 3.5, 3, 3], 3, 4),
        ([4, 3, 2.5, 2.5, 2, 2], 1, 3),
        ([2, 1, 1.5, 0.5, 0.75, 0.75, 0.75], 3, 6),
        ([3, 2, 1, 0], 1, None),
        ([1, 1], 0, 1),
        ([1, 1], 1, 1),
        ([1], 0, None),
    ],
)
def test_patience(rules, values, patience, stop):
    """Patience counts checks since the last improvement."""
    assert stops_at(EarlyStopping(patience=patience, rules=rules), values) == stop


def test_mode_max():
    """In mode max, higher is better."""
    policy = EarlyStopping("accuracy", patience=2)
    verdicts = play(policy, [0.5, 0.7, 0.6, 0.7])
    assert [v.verdict for v in verdicts] == ["improved", "improved", "waited", "stopped"]
    assert (verdicts[-1].best, verdicts[-1].best_epoch, verdicts[-1].wait) == (0.7, 1, 2)


@pytest.mark.parametrize("min_delta", [0.25, -0.25])
def test_min_delta(min_delta):
    """An improvement beats the best by more than min_delta, whatever its sign."""
    policy = EarlyStopping(min_delta=min_delta, patience=9)
    verdicts = play(policy, [1.0, 0.75, 0.7499])
    assert [v.verdict for v in verdicts] == ["improved", "waited", "improved"]


def test_precision():
    """Double precision tells apart what single precision ties."""
    values = [0.5000000005, 0.5]
    assert play(EarlyStopping(), values)[-1].verdict == "improved"
    last = play(EarlyStopping(rules=KERAS), values)[-1]
    assert last.verdict == "stopped"
    assert "in single precision" in last.reason


def test_nan():
    """A NaN is never best, counts toward patience, and is named."""
    verdicts = play(EarlyStopping(patience=2), [NAN, 1.0, NAN, NAN])
    assert [v.verdict for v in verdicts] == ["waited", "improved", "waited", "stopped"]
    assert verdicts[0].best is None
    assert verdicts[-1].best == 1.0
    assert verdicts[-1].reason == "val_loss is NaN and did not beat 1.000 (epoch 1); 2 of 2 waits"


def test_nan_under_keras_rules():
    """Under Keras rules a first NaN is best for ever."""
    verdicts = play(EarlyStopping(patience=2, rules=KERAS), [NAN, 1, 0.5, 0.2, 0.1])
    assert verdicts[-1].epoch == 2
    assert math.isnan(verdicts[-1].best)
    assert "cannot beat NaN (epoch 0)" in verdicts[-1].reason


def test_first_epoch():
    """Patience never stops epoch 0."""
    verdicts = play(EarlyStopping(patience=1), [NAN, NAN])
    assert [v.verdict for v in verdicts] == ["waited", "stopped"]
    assert "first epoch" in verdicts[0].reason


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_missing_metric(rules):
    """An epoch without the metric is skipped whole."""
    policy = EarlyStopping(patience=1, rules=rules)
    state = EarlyStoppingState(wait=0, best=1.0, best_epoch=0)
    after, verdict = policy.step(state, 1, None)
    assert after == state
    assert (verdict.verdict, verdict.reason) == ("skipped", "there is no val_loss at this epoch")


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_warm_up(rules):
    """Warm-up epochs are skipped whole."""
    policy = EarlyStopping(patience=1, start_from_epoch=2, rules=rules)
    verdicts = play(policy, [0.1, 0.1, 5.0, 4.0, 4.5])
    words = ["skipped", "skipped", "improved", "improved", "stopped"]
    assert [v.verdict for v in verdicts] == words


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_baseline(rules):
    """Only an improvement that beats the baseline sets the count back."""
    policy = EarlyStopping(baseline=0.5, patience=3, rules=rules)
    verdicts = play(policy, [0.9, 0.8, 0.4, 0.45, 0.41])
    assert [v.wait for v in verdicts] == [1, 2, 0, 1, 2]
    assert verdicts[1].verdict == "improved"
    assert verdicts[1].reason.endswith(
        "beat 0.9000 (epoch 0), but not the baseline 0.5; 2 of 3 waits"
    )


def test_stopping_threshold():
    """Reaching the target stops at once, and that epoch is best."""
    verdicts = play(EarlyStopping(patience=5, stopping_threshold=0.5), [1.0, 0.5, 0.1])
    last = verdicts[-1]
    assert (last.epoch, last.stopped_by, last.best_epoch) == (1, StopCause.THRESHOLD, 1)
    assert last.reason == "val_loss 0.5000 reached the stopping threshold 0.5"


@pytest.mark.parametrize(
    ("monitor", "values"), [("acc", [0.6, 0.25, 0.19]), ("val_loss", [0.1, 0.25, 0.31])]
)
def test_divergence_threshold(monitor, values):
    """Going past the divergence bound, not reaching it, stops at once."""
    policy = EarlyStopping(monitor, patience=5, divergence_threshold=0.25)
    last = play(policy, values)[-1]
    assert (last.epoch, last.stopped_by) == (2, StopCause.DIVERGENCE)
    assert last.reason == f"{monitor} {values[-1]:.4f} is past the divergence threshold 0.25"


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_check_finite(value):
    """check_finite stops at NaN and infinity, which are never best."""
    last = play(EarlyStopping(patience=5, check_finite=True), [1.0, value])[-1]
    assert (last.epoch, last.stopped_by, last.best) == (1, StopCause.NOT_FINITE, 1.0)
    assert "check_finite" in last.reason


def test_order_of_causes():
    """The cause is not-finite before threshold before divergence before patience."""
    policy = EarlyStopping(
        patience=1, check_finite=True, stopping_threshold=9, divergence_threshold=5
    )
    causes = [
        policy.step(EarlyStoppingState(best=0.0, best_epoch=0), 3, v)[1].stopped_by
        for v in (INF, 8.0, 10.0)
    ]
    assert causes == [StopCause.NOT_FINITE, StopCause.THRESHOLD, StopCause.DIVERGENCE]
    patient = replace(policy, divergence_threshold=None, stopping_threshold=None)
    _, verdict = patient.step(EarlyStoppingState(best=0.0, best_epoch=0), 3, 7.0)
    assert verdict.stopped_by is StopCause.PATIENCE


def test_min_epochs():
    """min_epochs are served before a stop takes effect."""
    policy = EarlyStopping(patience=2, min_epochs=6)
    verdicts = play(policy, [1, 1, 1, 1, 1, 1, 1])
    assert verdicts[-1].epoch == 5
    assert verdicts[-1].wait == 5
    assert verdicts[2].verdict == "waited"
    assert verdicts[2].reason.endswith("2 of 2 waits; training continues until 6 epochs are done")


def test_min_epochs_and_check_finite():
    """min_epochs also hold back a stop at once."""
    verdicts = play(EarlyStopping(check_finite=True, patience=9, min_epochs=3), [1, NAN, 2, NAN])
    assert [v.verdict for v in verdicts] == ["improved", "waited", "waited", "stopped"]


def test_resume():
    """Resume decides as an uninterrupted training would have."""
    policy, values = EarlyStopping(patience=3), [5, 4, 4.5, 4.25, 4.75]
    state = policy.initial()
    for epoch in range(3):
        state, _ = policy.step(state, epoch, values[epoch])
    back = EarlyStoppingState.from_dict(json.loads(json.dumps(state.as_dict())))
    assert back == state == EarlyStoppingState(wait=1, best=4.0, best_epoch=1)
    assert play(policy, values[3:], 3, back) == play(policy, values)[3:]


def test_resume_with_another_patience():
    """A changed patience holds after resume."""
    state = EarlyStoppingState.from_dict({"wait": 3, "best": 1.0, "best_epoch": 0, "patience": 4})
    assert not EarlyStopping(patience=10).step(state, 4, 2.0)[1].stop
    assert EarlyStopping(patience=2).step(state, 4, 2.0)[1].stop


def test_stopped_state():
    """The state says when and why it stopped."""
    state, _ = EarlyStopping(patience=1).step(EarlyStoppingState(best=1.0, best_epoch=0), 1, 2.0)
    assert (state.stopped_epoch, state.stopped_by) == (1, "patience")
    assert json.loads(json.dumps(state.as_dict()))["stopped_by"] == "patience"


def test_unknown_keys():
    """A state of another release is read as far as it is known."""
    saved = {"wait": 2, "tomorrow": {"x": 1}}
    assert EarlyStoppingState.from_dict(saved) == EarlyStoppingState(wait=2)
    assert EarlyStoppingState.from_dict(None) == EarlyStoppingState()


def test_config_round_trip():
    """A configuration goes through JSON."""
    policy = EarlyStopping("acc", patience=3, baseline=1, rules=KERAS)
    saved = json.loads(json.dumps(policy.as_dict() | {"verbose": 1}))
    assert EarlyStopping.from_dict(saved) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"patience": -1},
        {"patience": 2.5},
        {"patience": True},
        {"mode": "lowest"},
        {"monitor": None},
        {"monitor": 3},
        {"monitor": " "},
        {"monitor": "temperature"},
        {"rules": "keras-2"},
        {"min_delta": NAN},
        {"min_delta": "0.1"},
        {"baseline": INF},
        {"stopping_threshold": NAN},
        {"start_from_epoch": -3},
        {"min_epochs": -1},
    ],
)
def test_refused(wrong):
    """What cannot be is refused with its name and value."""
    with pytest.raises(BadValue) as refused:
        EarlyStopping(**wrong)
    (name, value), *_ = wrong.items()
    assert ("mode" if value == "temperature" else name) in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    "ours",
    [
        {"stopping_threshold": 0.0},
        {"divergence_threshold": 9},
        {"check_finite": True},
        {"min_epochs": 1},
    ],
)
def test_refused_under_keras_rules(ours):
    """Keras rules refuse the options that Keras does not have."""
    with pytest.raises(BadValue, match=r"has no such option.*use rules='tracker-1'"):
        EarlyStopping(rules=KERAS, **ours)


def test_taken_under_keras_rules():
    """Keras rules take what Keras takes."""
    with pytest.warns(UserWarning, match="counts as 'auto'"):
        policy = EarlyStopping(patience=-1, mode="lowest", rules=KERAS)
    assert policy.direction == "min"
    assert stops_at(policy, [1, 1]) == 1


def test_frozen():
    """A policy does not change."""
    with pytest.raises(FrozenInstanceError):
        EarlyStopping().patience = 3
