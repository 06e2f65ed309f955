"""Whether a training is to end, and why."""

from __future__ import annotations

from typing import Any

from tracker_torch.state.serialization import named, unwrap

_NAME = "stop_training"


class StopRequest:
    """A request to end training: made here with its reason, or as ``model.stop_training = True``, Keras' way.

    Attributes:
        flags: where it may stand, under ``stop_training``: our own place first, then the modules'.
            Whoever asks in every batch looks there.
    """

    def __init__(self) -> None:
        self._own: dict[str, Any] = {}
        self._epoch: int | None = None
        self.flags: list[dict[str, Any]] = [self._own]

    def begin(self, model: Any) -> None:
        """Forget an earlier request, as Keras does before training begins, and watch these modules."""
        self.flags = [self._own, *(vars(unwrap(module)) for module in named(model).values())]
        self.withdraw()

    @property
    def made(self) -> bool:
        """Whether training is to end."""
        return any(flags.get(_NAME) for flags in self.flags)

    @property
    def reason(self) -> str | None:
        """Why, where it was made here."""
        return self._own.get(_NAME)

    def make(self, reason: str, epoch: int) -> bool:
        """Ask for the end of training; returns whether this is the reason: the first of an epoch is."""
        if self.reason is not None and self._epoch == epoch:
            return False
        self._own[_NAME], self._epoch = reason, epoch
        return True

    def withdraw(self) -> None:
        """Train on."""
        for flags in self.flags:
            flags.pop(_NAME, None)
