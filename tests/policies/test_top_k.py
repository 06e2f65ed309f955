"""Which checkpoint files stay."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import BadValue
from tracker.policies import KERAS, LIGHTNING, TopK

NAN = math.nan


def files(*values):
    """Return files f0, f1, … with these values."""
    return [(f"f{index}", value, index) for index, value in enumerate(values)]


def test_best_k():
    """The k best stay, best first."""
    kept = TopK(2, "score", mode="max").choose(files(1, -2, 3, -4))
    assert (kept.keep, kept.drop) == (("f2", "f0"), ("f1", "f3"))


def test_all_and_none():
    """keep=None keeps all and keep=0 none."""
    assert len(TopK(None, "val_loss").choose(files(1, 2, NAN)).keep) == 3
    assert TopK(0, "val_loss").choose(files(1, 2)).drop == ("f0", "f1")


def test_last_k():
    """Without a monitor the last k stay."""
    kept = TopK(2).choose(files(1, 2, 3, None))
    assert (kept.keep, kept.drop) == (("f3", "f2"), ("f0", "f1"))
    assert kept.reasons == ("not among the 2 last",) * 2


def test_tie():
    """Of two that tie, the older stays."""
    assert TopK(1, "val_loss").choose(files(2, 1, 1)).keep == ("f1",)


def test_of_those_that_tie_lightning_deletes_the_oldest_and_a_newcomer_has_to_be_better():
    """A newcomer that only ties goes; one that is better drives out the oldest of the worst."""
    top = TopK(2, "score", mode="max", rules=LIGHTNING)
    assert top.choose(files(1, 1, 1)).drop == ("f2",)
    assert top.choose(files(1, 1, 2)).drop == ("f0",)


def test_to_lightning_a_nan_is_the_worst_infinity():
    """It ties with one."""
    top = TopK(2, "val_loss", rules=LIGHTNING)
    assert top.choose(files(NAN, math.inf, 1)).drop == ("f0",)
    assert top.choose(files(math.inf, 1, NAN)).drop == ("f2",)


def test_nan_and_missing():
    """NaN and missing are worst, and stay only where there is room."""
    chosen = TopK(2, "val_loss").choose(files(NAN, None, math.inf, 3))
    assert (chosen.keep, chosen.drop) == (("f3", "f2"), ("f0", "f1"))
    assert TopK(2, "val_loss").choose(files(NAN, 1)).drop == ()


def test_tie_under_keras_rules():
    """Under Keras rules, values equal in single precision tie."""
    pair = files(0.5000000005, 0.5)
    assert TopK(1, "val_loss").choose(pair).keep == ("f1",)
    assert TopK(1, "val_loss", rules=KERAS).choose(pair).keep == ("f0",)


def test_reasons():
    """Each file that goes is told why."""
    (reason,) = TopK(2, "val_loss").choose(files(0.39, 0.35, 0.41)).reasons
    assert reason == "val_loss 0.4100 is not among the 2 best, down to 0.3900 (epoch 0)"
    (reason,) = TopK(1, "val_loss").choose(files(0.39, None)).reasons
    assert reason == "has no val_loss and is not among the 1 best"


@given(
    st.lists(st.none() | st.floats()),
    st.none() | st.integers(0, 5),
    st.sampled_from([None, "loss", "accuracy"]),
)
def test_every_file_is_placed(values, keep, monitor):
    """Every file stays or goes, and as many stay as may."""
    kept = TopK(keep, monitor).choose(files(*values))
    assert sorted(kept.keep + kept.drop) == sorted(name for name, _, _ in files(*values))
    assert len(kept.keep) == min(len(values), len(values) if keep is None else keep)
    assert len(kept.reasons) == len(kept.drop)


@given(st.lists(st.integers(-3, 3).map(float) | st.just(NAN)), st.integers(0, 4))
def test_pruning_step_by_step(values, keep):
    """Pruning after each save keeps what pruning at the end would."""
    policy, kept = TopK(keep, "val_loss"), []
    for file in files(*values):
        stays = policy.choose([*kept, file]).keep
        kept = [there for there in [*kept, file] if there[0] in stays]
    assert {name for name, _, _ in kept} == set(policy.choose(files(*values)).keep)


@pytest.mark.parametrize("wrong", [{"keep": -1}, {"keep": 1.5}, {"keep": 2, "monitor": ""}])
def test_refused(wrong):
    """What cannot be is refused."""
    with pytest.raises(BadValue, match="must be") as refused:
        TopK(**wrong)
    assert "epochs" not in str(refused.value)
