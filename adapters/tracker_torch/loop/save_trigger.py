"""When to save: after so many epochs, or after so many steps."""

from __future__ import annotations

from typing import Any

from tracker import BadValue
from tracker.policies import validation


class Trigger:
    """Epochs n, 2n, … counted from 1, or steps n, 2n, … counted across epochs; n of 0 is never.

    Args:
        save_freq: ``"epoch"``, or a number of steps.
        every_n_epochs: the number of epochs, 1 by default.
        name, epochs_name: what the caller calls the two, for errors.

    Raises:
        BadValue: for other values, and for both at once.
    """

    def __init__(
        self,
        save_freq: Any = "epoch",
        every_n_epochs: int | None = None,
        *,
        name: str = "save_freq",
        epochs_name: str = "every_n_epochs",
    ) -> None:
        self.by_step = save_freq != "epoch"
        if self.by_step and every_n_epochs is not None:
            raise BadValue(
                f"{name} is {save_freq!r} and {epochs_name} is {every_n_epochs!r}: "
                f"one trigger at a time. Use two callbacks for both."
            )
        if self.by_step:
            hint = "Pass 'epoch' or a number of steps; 0 is never."
            self.every = validation.count(save_freq, name, hint=hint)
        else:
            given = 1 if every_n_epochs is None else every_n_epochs
            hint = "Pass a number of epochs; 0 is never."
            self.every = validation.count(given, epochs_name, hint=hint)

    def at_step(self, step: int) -> bool:
        """Whether to save now that ``step`` steps are done."""
        return self.by_step and self.every > 0 and step % self.every == 0

    def at_epoch(self, epoch: int) -> bool:
        """Whether to save after the 0-based ``epoch``."""
        return not self.by_step and self.every > 0 and (epoch + 1) % self.every == 0
