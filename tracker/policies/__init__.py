"""The rules by which callbacks decide: numbers in, verdict out.

Nothing here reads a clock, a file or a database, or knows a training framework. A policy is a
frozen dataclass; its ``step`` takes a state and one epoch's number, and returns the next state and
a `Verdict`. States go to JSON with ``as_dict`` and come back with ``from_dict``.

Two versions of the rules are known (`RULES`): ``tracker-1`` compares in double precision and never
takes a NaN for the best; ``keras-3.15`` does what Keras 3.15.1 does, its single precision included.
(On TensorFlow, Keras takes numbers below 1.2e-38 for zero; ``keras-3.15`` keeps them, as Keras on
torch does.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracker.policies import words
from tracker.policies.best import Best, BestState
from tracker.policies.early_stopping import EarlyStopping, EarlyStoppingState
from tracker.policies.keep import Kept, TopK
from tracker.policies.modes import KERAS, MODES, RULES, TRACKER, direction_of
from tracker.policies.plateau import PlateauState, ReduceLROnPlateau
from tracker.policies.schedule import Schedule
from tracker.policies.verdict import StopCause, Verdict

if TYPE_CHECKING:
    from tracker.policies.replay import Replayed, replay_early_stopping

__all__ = [
    "KERAS",
    "MODES",
    "RULES",
    "TRACKER",
    "Best",
    "BestState",
    "EarlyStopping",
    "EarlyStoppingState",
    "Kept",
    "PlateauState",
    "ReduceLROnPlateau",
    "Replayed",
    "Schedule",
    "StopCause",
    "TopK",
    "Verdict",
    "direction_of",
    "replay_early_stopping",
    "words",
]


def __getattr__(name: str) -> Any:
    """Load the replay, and NumPy with it, when it is asked for."""
    if name in ("Replayed", "replay_early_stopping"):
        from tracker.policies import replay

        return getattr(replay, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
