"""Which epochs are saved, and which files stay."""

import json
import math

import pytest

from tracker.errors import BadValue
from tracker.policies import KERAS, TRACKER, TRANSFORMERS, Best, BestState

NAN = math.nan


def play(policy, values):
    """Feed values one epoch after the other; return all verdicts."""
    state, verdicts = policy.initial(), []
    for epoch, value in enumerate(values):
        state, verdict = policy.step(state, epoch, value)
        verdicts.append(verdict)
    return verdicts


def saved(policy, values):
    """Return the epochs that were saved."""
    return [verdict.epoch for verdict in play(policy, values) if verdict.save]


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_save_best_only(rules):
    """save_best_only saves what is strictly better."""
    policy = Best(save_best_only=True, rules=rules)
    assert saved(policy, [3, 2, 2, 2.5, 1]) == [0, 1, 4]


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_save_all(rules):
    """Without save_best_only every check is saved."""
    assert saved(Best(rules=rules), [3, None, NAN, 4]) == [0, 1, 2, 3]


def test_save_all_follows_the_best():
    """The best is followed even where every check is saved."""
    verdicts = play(Best(), [3, 4, 2])
    assert [v.improved for v in verdicts] == [True, False, True]
    assert (verdicts[-1].best, verdicts[-1].best_epoch) == (2, 2)
    assert verdicts[-1].reason == "every checkpoint is saved; val_loss 2.000 beat 3.000 (epoch 0)"


def test_nan():
    """A first NaN does not block later values and is never best."""
    verdicts = play(Best(save_best_only=True), [NAN, 2, NAN, 1])
    assert [v.verdict for v in verdicts] == ["skipped", "saved", "skipped", "saved"]
    assert [v.best for v in verdicts] == [None, 2, 2, 1]


def test_nan_under_keras_rules():
    """Under Keras rules a first NaN is saved and best for ever."""
    assert saved(Best(save_best_only=True, rules=KERAS), [NAN, 2, 1]) == [0]


def test_missing_metric():
    """A missing metric never overwrites the best file."""
    (_, last) = play(Best(save_best_only=True), [2, None])
    assert (last.verdict, last.reason) == ("skipped", "there is no val_loss at this epoch")


def test_missing_metric_under_keras_rules():
    """Under Keras rules a missing metric is saved and the best stays."""
    (_, last) = play(Best(save_best_only=True, rules=KERAS), [2, None])
    assert (last.verdict, last.best) == ("saved", 2)


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_initial_value_threshold(rules):
    """The first save has to beat the initial threshold."""
    policy = Best("acc", save_best_only=True, initial_value_threshold=0.5, rules=rules)
    verdicts = play(policy, [0.4, 0.6])
    assert [v.verdict for v in verdicts] == ["skipped", "saved"]
    assert verdicts[0].reason == "acc 0.4000 did not beat the starting value 0.5000"


def test_resume():
    """The best of an earlier process has to be beaten after resume."""
    policy = Best(save_best_only=True)
    state, _ = policy.step(policy.initial(), 0, 0.25)
    back = BestState.from_dict(json.loads(json.dumps(state.as_dict())))
    assert policy.step(back, 1, 0.5)[1].verdict == "skipped"


def test_no_monitor():
    """Without a monitor every check is saved."""
    (verdict,) = play(Best(monitor=None), [None])
    assert (verdict.verdict, verdict.reason) == ("saved", "every checkpoint is saved")


@pytest.mark.parametrize(
    "wrong",
    [
        {"monitor": None, "save_best_only": True},
        {"monitor": ""},
        {"mode": "best"},
        {"monitor": "temperature"},
        {"initial_value_threshold": NAN},
        {"initial_value_threshold": "low"},
    ],
)
def test_refused(wrong):
    """What cannot be is refused."""
    with pytest.raises(BadValue, match=r"(monitor|mode|initial_value_threshold) is .*Pass"):
        Best(**wrong)


def test_the_worst_infinity_is_never_best_to_the_trainer_of_transformers():
    """Its best value begins there."""
    best = Best("eval_loss", rules=TRANSFORMERS, save_best_only=True)
    assert saved(best, [math.inf, NAN, 3.0, -math.inf]) == [2, 3]
