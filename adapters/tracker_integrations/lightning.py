"""Lightning: `TrackerLogger`, and recording with no line of code.

    from lightning.pytorch import Trainer
    from tracker_integrations.lightning import TrackerLogger

    Trainer(logger=TrackerLogger(experiment="digits")).fit(model)

Where local-tracker is installed, each Trainer is recorded, whatever logger it has; ``TRACKER_LIGHTNING=off`` in the
environment leaves those out that have no TrackerLogger. `tracker_integrations.pytorch_lightning` is the same for the
package of that name.
"""

from __future__ import annotations

from typing import Any

from tracker_integrations.lightning_parts.callback import CallbackParts, TurnParts
from tracker_integrations.lightning_parts.logger import LoggerParts
from tracker_integrations.needed import needed

with needed("lightning", "lightning"):
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.loggers.logger import rank_zero_experiment


class TrackerLogger(LoggerParts, Logger):
    """Record what Lightning logs into a run; the arguments are those of `LoggerParts`."""

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]  # Lightning gives it no types
    def experiment(self) -> Any:
        """The run, with everything that a ``tracker.Run`` has; on other ranks what takes every call."""
        return super().experiment


class EpochTurn(TurnParts, Callback):
    """Stand before all other callbacks, see `TurnParts`."""


class TrackerCallback(CallbackParts, Callback):
    """Record a Trainer's ``fit``, see `CallbackParts`; each Trainer has one already."""

    turn = EpochTurn


def callbacks() -> list[Callback]:
    """Return what each new Trainer gets: the entry point of ``lightning.pytorch.callbacks_factory``."""
    return [TrackerCallback()]
