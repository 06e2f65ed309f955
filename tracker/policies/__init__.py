"""The rules by which callbacks decide: numbers in, verdict out.

Nothing here reads a clock, a file or a database, or knows a training framework. A policy is a
frozen dataclass; its ``step`` takes a state and one epoch's number, and returns the next state and
a `Verdict`. States go to JSON with ``as_dict`` and come back with ``from_dict``.

Four versions of the rules are known (`RULES`): ``tracker-1`` compares in double precision and never
takes a NaN for the best; ``keras-3.15`` does what Keras 3.15.1 does, its single precision included;
``transformers-5`` and ``lightning-2.6`` are early stopping as the Trainers of Transformers 5 and Lightning 2.6 do it.
(On TensorFlow, Keras takes numbers below 1.2e-38 for zero; ``keras-3.15`` keeps them, as Keras on
torch does.)

A name is loaded when it is first used: a listing needs one rule, and no NumPy. A new public name is a line
in `_HOME_OF`, and the same import for type checkers, which cannot read that table; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.lazy import loader

if TYPE_CHECKING:
    from tracker.policies import reasons as reasons
    from tracker.policies.best import Best as Best
    from tracker.policies.best import BestState as BestState
    from tracker.policies.early_stopping import EarlyStopping as EarlyStopping
    from tracker.policies.early_stopping import EarlyStoppingState as EarlyStoppingState
    from tracker.policies.early_stopping_replay import Replayed as Replayed
    from tracker.policies.early_stopping_replay import (
        replay_early_stopping as replay_early_stopping,
    )
    from tracker.policies.modes import KERAS as KERAS
    from tracker.policies.modes import LIGHTNING as LIGHTNING
    from tracker.policies.modes import MODES as MODES
    from tracker.policies.modes import RULES as RULES
    from tracker.policies.modes import TRACKER as TRACKER
    from tracker.policies.modes import TRANSFORMERS as TRANSFORMERS
    from tracker.policies.modes import direction_of as direction_of
    from tracker.policies.plateau import PlateauState as PlateauState
    from tracker.policies.plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from tracker.policies.retention import Retention as Retention
    from tracker.policies.schedule import Schedule as Schedule
    from tracker.policies.top_k import Kept as Kept
    from tracker.policies.top_k import TopK as TopK
    from tracker.policies.verdict import StopCause as StopCause
    from tracker.policies.verdict import Verdict as Verdict

_HOME_OF = {
    "Best": "tracker.policies.best",
    "BestState": "tracker.policies.best",
    "EarlyStopping": "tracker.policies.early_stopping",
    "EarlyStoppingState": "tracker.policies.early_stopping",
    "KERAS": "tracker.policies.modes",
    "Kept": "tracker.policies.top_k",
    "LIGHTNING": "tracker.policies.modes",
    "MODES": "tracker.policies.modes",
    "PlateauState": "tracker.policies.plateau",
    "RULES": "tracker.policies.modes",
    "ReduceLROnPlateau": "tracker.policies.plateau",
    "Replayed": "tracker.policies.early_stopping_replay",
    "Retention": "tracker.policies.retention",
    "Schedule": "tracker.policies.schedule",
    "StopCause": "tracker.policies.verdict",
    "TRACKER": "tracker.policies.modes",
    "TRANSFORMERS": "tracker.policies.modes",
    "TopK": "tracker.policies.top_k",
    "Verdict": "tracker.policies.verdict",
    "direction_of": "tracker.policies.modes",
    "reasons": "tracker.policies.reasons",
    "replay_early_stopping": "tracker.policies.early_stopping_replay",
}
"""The public names, and the module that each is loaded from."""

__all__ = list(_HOME_OF)


# Type checkers do not see this: to them, a name that is not public is an error.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOME_OF)
