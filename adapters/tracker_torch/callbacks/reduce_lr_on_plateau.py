"""ReduceLROnPlateau: lowers the learning rate when a metric has stopped improving."""

from __future__ import annotations

from typing import Any

from tracker import policies
from tracker_torch.callback import Logs
from tracker_torch.loop.learning_rate import all_rates, set_all_rates
from tracker_torch.monitored import MonitoredCallback
from tracker_torch.state.serialization import named


class ReduceLROnPlateau(MonitoredCallback[policies.PlateauState]):
    """Multiply the learning rate by ``factor`` after ``patience`` epochs without improvement.

    Every parameter group of every optimizer is lowered, each from its own rate. As in Keras the
    reduction comes at ``wait >= patience``; torch's scheduler of the same name waits one epoch longer.

    Args:
        monitor: name of the metric.
        factor: below 1.
        patience: epochs without improvement that are waited for.
        verbose: 1 prints what Keras prints.
        mode: ``min``, ``max``, or ``auto``: by the metric's name.
        min_delta: an improvement is better than the best by more than this.
        cooldown: epochs after a reduction that do not count.
        min_lr: no rate goes below it.
        rules: ``tracker-1`` or ``keras-3.15``, see `tracker.policies.ReduceLROnPlateau`.

    Attributes:
        wait, best, cooldown_counter: as in Keras; best is None where there is none yet.

    Raises:
        BadValue: for arguments that cannot be.
    """

    logs_rates = True

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        *,
        rules: str = policies.TRACKER,
    ) -> None:
        self.rule = policies.ReduceLROnPlateau(
            monitor=monitor,
            factor=factor,
            patience=patience,
            mode=mode,
            min_delta=min_delta,
            cooldown=cooldown,
            min_lr=min_lr,
            rules=rules,
        )
        self.monitor, self.verbose = monitor, verbose
        self.state = self.rule.initial()

    @property
    def wait(self) -> int:
        """Epochs in a row without improvement."""
        return self.state.wait

    @property
    def cooldown_counter(self) -> int:
        """How many epochs do not count from here on."""
        return self.state.cooldown_counter

    def in_cooldown(self) -> bool:
        """Whether epochs do not count at present."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew, or with the wait, the best and the rates of the resumed run."""
        saved, _ = self.join(
            monitor=self.monitor,
            rules=self.rule.rules,
            config=self.rule.as_dict() | {"mode": self.rule.direction},
        )
        self.state = policies.PlateauState.from_dict(saved)
        if not self.loop.has_its_rates:
            set_all_rates(self.optimizer, saved.get("rates"))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Judge the epoch, and lower the rates where it is time."""
        value = self.watched(self.monitor, logs or {}, epoch)
        rates = all_rates(self.optimizer)
        highest = max(rate for group in rates.values() for rate in group)
        self.state, verdict = self.rule.step(self.state, epoch, value, highest, logs or ())
        if verdict.verdict == "reduced":
            rates = {
                name: [self.rule.lowered(rate) for rate in group] for name, group in rates.items()
            }
            set_all_rates(self.optimizer, rates)
            self._tell(epoch, rates)
        saved = self.state.as_dict() | {"rates": rates}
        self.decide(verdict.verdict, **verdict.as_decision(), state=saved)

    def _tell(self, epoch: int, rates: dict[str, list[float]]) -> None:
        if self.verbose:
            for name in named(self.optimizer):
                called = f" {name}" if name else ""
                self.loop.say(
                    f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing{called} learning rate to "
                    f"{rates[name][0]}."
                )

    def get_state(self) -> dict[str, Any]:
        """Return the state and the rates."""
        rates = all_rates(self.optimizer)
        return {"state": self.state.as_dict() | {"rates": rates}}
