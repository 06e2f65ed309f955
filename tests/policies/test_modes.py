"""Which way is better, told from a name."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT
from tracker.errors import BadValue
from tracker.policies import KERAS, TRACKER, direction_of


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("loss", "min"),
        ("val/loss", "min"),
        ("train_loss_epoch", "min"),
        ("valLoss", "min"),
        ("acc_loss", "min"),
        ("error_rate", "min"),
        ("val.rmse", "min"),
        ("val_acc", "max"),
        ("top5_acc", "max"),
        ("acc@1", "max"),
        ("auc_1", "max"),
        ("mIoU", "max"),
        ("mAP50-95", "max"),
        ("macro_f1_score", "max"),
        ("mean_io_u", "max"),
        ("dice_coef", "max"),
    ],
)
def test_auto_under_our_rules(name, direction):
    """Our rules read the last word that says something."""
    assert direction_of(name, "auto", TRACKER) == direction


@pytest.mark.parametrize("name", ["temperature", "loss_scale", "learning_rate", "score", "7", ""])
@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_auto_without_a_clue(name, rules):
    """A name that does not tell which way is better is refused, and a mode asked for."""
    with pytest.raises(BadValue, match=r"Pass mode='min' or mode='max'"):
        direction_of(name, "auto", rules)


@pytest.mark.parametrize("rules", [TRACKER, KERAS])
def test_explicit_mode(rules):
    """A mode that was passed stands."""
    assert direction_of("loss", "max", rules) == "max"
    assert direction_of("temperature", "min", rules) == "min"


def test_auto_under_keras_rules():
    """Keras rules do not guess beyond what Keras knows."""
    assert direction_of("val_loss", "auto", KERAS) == "min"
    assert direction_of("val_accuracy", "auto", KERAS) == "max"
    with pytest.raises(BadValue):
        direction_of("dice_coef", "auto", KERAS)


def test_purity():
    """The policies load no framework, no NumPy, and nothing of ours but the errors and the lazy names."""
    code = "import sys, tracker.policies; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"numpy", "pandas", "torch", "keras", "tensorflow", "sqlalchemy", "ctypes"}
    ours = {name for name in loaded if name.startswith("tracker.")}
    light = ("tracker.errors", "tracker.lazy", "tracker.policies")
    assert all(name.startswith(light) for name in ours)
