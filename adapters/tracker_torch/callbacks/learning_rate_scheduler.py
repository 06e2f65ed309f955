"""LearningRateScheduler: the learning rate follows a function of the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracker import policies
from tracker_torch.callback import Callback, Logs
from tracker_torch.loop.learning_rate import all_rates, set_all_rates
from tracker_torch.state.serialization import named


class LearningRateScheduler(Callback):
    """Ask ``schedule`` for the learning rate before each epoch.

    Args:
        schedule: takes the 0-based epoch and the learning rate now, or the epoch alone, and returns
            the rate to train with. With several parameter groups it is asked once for each.
        verbose: 1 prints what Keras prints.

    Raises:
        BadValue: ``schedule`` takes other arguments, or returned something that is not a rate.
    """

    logs_rates = True

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.rule = policies.Schedule(schedule)
        self.schedule, self.verbose = schedule, verbose

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin; a resumed run continues with the rates it had."""
        saved, _ = self.join(config={"schedule": getattr(self.schedule, "__qualname__", "")})
        if not self.loop.has_its_rates:
            set_all_rates(self.optimizer, saved.get("rates"))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rates of the epoch."""
        verdicts = {
            name: [self.rule.step(epoch, rate) for rate in rates]
            for name, rates in all_rates(self.optimizer).items()
        }
        rates = {
            name: [verdict.lr_after or 0.0 for verdict in group] for name, group in verdicts.items()
        }
        set_all_rates(self.optimizer, rates)
        for name in named(self.optimizer):
            if self.verbose:
                self.loop.say(
                    f"\nEpoch {epoch + 1}: LearningRateScheduler setting{f' {name}' * bool(name)} "
                    f"learning rate to {rates[name][0]}."
                )
        first = next(iter(verdicts.values()))[0]
        self.decide(first.verdict, **first.as_decision(), state={"rates": rates})

    def get_state(self) -> dict[str, Any]:
        """Return the rates."""
        return {"state": {"rates": all_rates(self.optimizer)}}
