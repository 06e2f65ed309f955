"""A learning rate by schedule."""

import pytest

from tracker.errors import BadValue
from tracker.policies import Schedule


def test_epoch_and_rate():
    """A schedule may take the epoch and the learning rate."""
    verdict = Schedule(lambda epoch, lr: lr * 0.1 if epoch else lr).step(1, 0.5)
    assert (verdict.verdict, verdict.lr_before, verdict.lr_after) == ("scheduled", 0.5, 0.05)
    assert verdict.reason == "learning rate 0.5 set to 0.05 for epoch 1"


def test_epoch_alone():
    """A schedule may take the epoch alone."""
    verdict = Schedule(lambda epoch: 0.5).step(3, 0.5)
    assert verdict.lr_after == 0.5
    assert verdict.reason == "learning rate stays at 0.5 for epoch 3"


def test_type_error_inside():
    """A TypeError inside the schedule comes out unchanged."""

    def broken(epoch, lr):
        return lr + "x"

    with pytest.raises(TypeError, match="unsupported operand"):
        Schedule(broken).step(0, 0.1)


@pytest.mark.parametrize("returned", [None, "0.1", True, float("nan"), float("inf"), -0.1, [1, 2]])
def test_refused_rate(returned):
    """What is no learning rate is refused."""
    with pytest.raises(BadValue, match="for epoch 2: a learning rate must be"):
        Schedule(lambda epoch: returned).step(2, 0.1)


@pytest.mark.parametrize("wrong", [0.1, None, lambda: 0.1, lambda a, b, c: a])
def test_refused_schedule(wrong):
    """What is no schedule is refused."""
    with pytest.raises(BadValue, match=r"schedule is .* must be a function of"):
        Schedule(wrong)
