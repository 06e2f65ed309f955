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

    def make(self, reason: str) -> None:
        """Ask for the end of training."""
        self._own[_NAME] = reason

    def withdraw(self) -> None:
        """Train on."""
        for flags in self.flags:
            flags.pop(_NAME, None)
