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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.policies import reasons
    from tracker.policies.best import Best, BestState
    from tracker.policies.early_stopping import EarlyStopping, EarlyStoppingState
    from tracker.policies.modes import KERAS, MODES, RULES, TRACKER, direction_of
    from tracker.policies.plateau import PlateauState, ReduceLROnPlateau
    from tracker.policies.replay import Replayed, replay_early_stopping
    from tracker.policies.schedule import Schedule
    from tracker.policies.top_k import Kept, TopK
    from tracker.policies.verdict import StopCause, Verdict

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
    "reasons",
    "replay_early_stopping",
]

_HOMES = {
    "best": ("Best", "BestState"),
    "early_stopping": ("EarlyStopping", "EarlyStoppingState"),
    "top_k": ("Kept", "TopK"),
    "modes": ("KERAS", "MODES", "RULES", "TRACKER", "direction_of"),
    "plateau": ("PlateauState", "ReduceLROnPlateau"),
    "replay": ("Replayed", "replay_early_stopping"),
    "schedule": ("Schedule",),
    "verdict": ("StopCause", "Verdict"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a name when it is asked for: a listing needs one rule, and no NumPy."""
    if name == "reasons":
        return import_module("tracker.policies.reasons")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"tracker.policies.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
