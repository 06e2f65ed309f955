"""Reasons read like sentences, and their numbers tell values apart."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracker.policies import Best, EarlyStopping, ReduceLROnPlateau, reasons
from tracker.policies.compare import show, show_apart, show_setting


def test_not_improved():
    """A reason names value, best, its epoch, min_delta and the wait."""
    sentence = reasons.not_improved("val_loss", 0.3512, 0.349, 7, min_delta=0.001)
    assert f"{sentence}; {reasons.waits(3, 3)}" == (
        "val_loss 0.3512 did not beat 0.3490 (epoch 7) by 0.001; 3 of 3 waits"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.349, "0.3490"),
        (1, "1.000"),
        (0, "0.000"),
        (1234, "1234"),
        (123456.7, "123457"),
        (1e-5, "1.000e-05"),
        (1e20, "1.000e+20"),
        (-2.5, "-2.500"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_show(value, shown):
    """Values are shown with four digits."""
    assert show(value) == shown


def test_more_digits():
    """Values that would look equal get more digits."""
    assert show_apart(0.34996, 0.35) == ("0.34996", "0.35000")
    assert "0.5000000000 did not beat 0.5000000004" in reasons.not_improved(
        "loss", 0.5, 0.5000000004, 1, tie=True
    )


@example(0.0, -0.0)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_show_apart(one, other):
    """Different values never look equal."""
    shown = show_apart(one, other)
    assert (shown[0] == shown[1]) == (one == other)


@given(st.floats(allow_nan=False))
def test_show_setting(value):
    """A setting is shown so that it can be typed back."""
    assert float(show_setting(value)) == value


@pytest.mark.parametrize(
    ("count", "said"),
    [((2, 3), "2 of 3 waits"), ((5, 3), "5 waits, patience 3"), ((1, 0), "patience is 0")],
)
def test_waits(count, said):
    """A count of checks reads naturally whatever the patience."""
    assert reasons.waits(*count) == said


def test_restored_and_missing():
    """What an adapter did and what it missed is worded too."""
    said = "weights of epoch 7 restored, whose val_loss 0.3490 is the best"
    assert reasons.restored("val_loss", 0.349, 7) == said
    assert reasons.restored("val_loss", None, None).startswith("there are no best weights")
    assert reasons.missing("val_loss", ["acc", "loss"]).endswith("at this epoch, only acc, loss")


@pytest.mark.parametrize(
    "judge",
    [
        lambda names: EarlyStopping().step(EarlyStopping().initial(), 1, None, names),
        lambda names: ReduceLROnPlateau().step(ReduceLROnPlateau().initial(), 1, None, 0.1, names),
        lambda names: Best(save_best_only=True).step(Best().initial(), 1, None, names),
    ],
)
def test_a_rule_names_the_metrics_that_there_are_instead(judge):
    assert judge(["loss"])[1].reason == "there is no val_loss at this epoch, only loss"
    assert judge(())[1].reason == "there is no val_loss at this epoch"
