"""The sentences: every reason that is recorded is worded here, and nowhere else.

Each takes plain numbers, so that an adapter which watches another library decide can word what it
saw. Values are shown with four significant digits, or with as many as it takes to tell two apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tracker.policies.compare import show, show_apart, show_rate, show_setting


def first(monitor: str, value: float) -> str:
    """Word the first value, which nothing can be compared with."""
    return f"{monitor} {show(value)} is the first value"


def improved(
    monitor: str, value: float, best: float, best_epoch: int | None, *, min_delta: float = 0.0
) -> str:
    """Word a new best; ``best`` is the one before, ``best_epoch`` None where it was handed in."""
    shown, before = show_apart(value, best)
    by = f" by more than {show_setting(abs(min_delta))}" if min_delta else ""
    return f"{monitor} {shown} beat {_named(before, best_epoch)}{by}"


def not_improved(
    monitor: str,
    value: float,
    best: float | None,
    best_epoch: int | None,
    *,
    min_delta: float = 0.0,
    tie: bool = False,
) -> str:
    """Word a value that is not a new best; ``tie``: better in double, equal in single precision."""
    if best is None:
        return f"{monitor} is {show(value)}, and there is no best value yet"
    if math.isnan(best):
        at = "" if best_epoch is None else f" (epoch {best_epoch})"
        return f"{monitor} {show(value)} cannot beat NaN{at}, which Keras keeps as its best"
    shown, named = show_apart(value, best)
    by = f" by {show_setting(abs(min_delta))}" if min_delta else ""
    verb = "is NaN and did" if math.isnan(value) else f"{shown} did"
    note = " in single precision" if tie else ""
    return f"{monitor} {verb} not beat {_named(named, best_epoch)}{by}{note}"


def best_of_earlier_training() -> str:
    """Word a comparison with a best value that the callback brought along."""
    return "the best value of an earlier training run of this callback"


def waits(wait: int, patience: int) -> str:
    """Word a count of checks: ``3 of 3 waits``."""
    if patience <= 0:
        return f"patience is {patience}"
    if wait > patience:
        return f"{wait} waits, patience {patience}"
    return f"{wait} of {patience} waits"


def behind_baseline(baseline: float, wait: int, patience: int) -> str:
    """Word the end of `improved` where the baseline was not beaten."""
    return f"but not the baseline {show_setting(baseline)}; {waits(wait, patience)}"


def not_finite(monitor: str, value: float) -> str:
    """Word a stop at NaN or infinity."""
    return f"{monitor} is {show(value)}, and check_finite stops at once"


def threshold_reached(monitor: str, value: float, threshold: float) -> str:
    """Word a stop at the target value."""
    return f"{monitor} {show(value)} reached the stopping threshold {show_setting(threshold)}"


def diverged(monitor: str, value: float, threshold: float) -> str:
    """Word a stop beyond the divergence bound."""
    return f"{monitor} {show(value)} is past the divergence threshold {show_setting(threshold)}"


def held_by_min_epochs(min_epochs: int) -> str:
    """Word why a stop that was due did not come."""
    return f"training continues until {min_epochs} epochs are done"


def held_by_first_epoch() -> str:
    """Word Keras' rule that patience never ends epoch 0."""
    return "the first epoch is never stopped by patience"


def missing(monitor: str, names: Iterable[str] = ()) -> str:
    """Word an epoch without the metric; ``names`` are the metrics that it has."""
    present = ", ".join(name for name in names if name != monitor)
    return f"there is no {monitor} at this epoch{f', only {present}' if present else ''}"


def warm_up(epoch: int, start_from_epoch: int) -> str:
    """Word an epoch that is not judged yet."""
    return f"epoch {epoch} is before epoch {start_from_epoch}, from which on epochs are judged"


def reduced(before: float, after: float) -> str:
    """Word a lowered learning rate."""
    return f"learning rate {show_rate(before)} lowered to {show_rate(after)}"


def cooling_down(epochs: int) -> str:
    """Word an epoch that does not count because the learning rate has just been lowered."""
    return f"cooling down for {epochs} more epoch{'' if epochs == 1 else 's'}"


def at_min_lr(lr: float, min_lr: float) -> str:
    """Word a reduction that is due and cannot go lower."""
    return f"learning rate {show_rate(lr)} cannot go below min_lr {show_setting(min_lr)}"


def scheduled(epoch: int, before: float, after: float) -> str:
    """Word what a schedule set."""
    if before == after:
        return f"learning rate stays at {show_rate(after)} for epoch {epoch}"
    return f"learning rate {show_rate(before)} set to {show_rate(after)} for epoch {epoch}"


def every_save() -> str:
    """Word a save that looks at no metric."""
    return "every checkpoint is saved"


def among_best(monitor: str, value: float, keep: int) -> str:
    """Word a save because the value is among the ``keep`` best."""
    return f"{monitor} {show(value)} is {f'among the {keep} best' if keep != 1 else 'the best'}"


def rate_found(epoch: int, before: float | None, after: float) -> str:
    """Word a learning rate that a search has suggested."""
    return f"{scheduled(epoch, after if before is None else before, after)}, as the search suggests"


def averaging(epoch: int) -> str:
    """Word the first epoch whose weights are averaged."""
    return f"weights are averaged from epoch {epoch} on"


def averaged(first: int, last: int) -> str:
    """Word weights that the average of several epochs has taken the place of."""
    return f"the average of the weights of epochs {first} to {last} took the place of the last ones"


def out_of_time(limit: str) -> str:
    """Word a stop by the clock; ``limit``: ``0:01:00``."""
    return f"training has taken {limit}, which is all the time it has"


def saved_unjudged(monitor: str, names: Iterable[str] = ()) -> str:
    """Word Keras' rule that a missing metric is saved rather than skipped."""
    return f"{missing(monitor, names)}, and Keras then saves"


def saved_array(monitor: str) -> str:
    """Word Keras' rule that a metric which is an array is not judged, and saved."""
    return f"{monitor} is an array, which Keras does not judge: it then saves"


def restored(
    monitor: str, best: float | None, best_epoch: int | None, what: str = "weights of epoch"
) -> str:
    """Word weights that came back, or ``what`` did."""
    if best is None or best_epoch is None:
        return f"there are no best weights by {monitor} to restore"
    return f"{what} {best_epoch} restored, whose {monitor} {show(best)} is the best"


def pruned_by_rank(
    monitor: str, value: float | None, keep: int, worst: float | None, worst_epoch: int | None
) -> str:
    """Word a file that is not among the ``keep`` best, of which ``worst`` is the last."""
    if keep == 0:
        return "no checkpoint is kept (keep 0)"
    if value is None or worst is None:
        has = f"has no {monitor}" if value is None else f"has {monitor} {show(value)}"
        return f"{has} and is not among the {keep} best"
    shown, other = show_apart(value, worst)
    return f"{monitor} {shown} is not among the {keep} best, down to {_named(other, worst_epoch)}"


def pruned_by_age(keep: int) -> str:
    """Word a file that is not among the ``keep`` last."""
    return "no checkpoint is kept (keep 0)" if keep == 0 else f"not among the {keep} last"


def pruned_by_retention(best: int | None, last: int | None, every: int | None) -> str:
    """Word a file that none of these rules keeps."""
    rules = [
        "" if best is None else f"the {best} best",
        "" if last is None else f"the {last} last",
        "" if every is None else f"the epochs {every}, {2 * every}, …",
    ]
    return f"not among {' or '.join(filter(None, rules))}"


def pruned_by_size(size: int) -> str:
    """Word a file that does not fit beside newer and better ones."""
    return f"the files that stay would take more than {size} bytes with it"


def replaced(epoch: int) -> str:
    """Word a file that a later one of the same name has taken the place of."""
    return f"the file of epoch {epoch} has the same name and took its place"


def loss_not_finite(name: str, value: float, batch: int) -> str:
    """Word a stop at a batch whose loss is NaN or infinite."""
    return f"{name} is {show(value)} at batch {batch}, and training stops at once"


def stop_was_set(by: str, epoch: int | None) -> str:
    """Word a stop that somebody else asked for; ``by``: ``a LambdaCallback``."""
    return f"{by} set stop_training{'' if epoch is None else f' at epoch {epoch}'}"


def better_file_stays(
    monitor: str, value: float | None, kept: float, kept_epoch: int | None
) -> str:
    """Word a save that would have written over a better file of an earlier attempt."""
    at = "" if kept_epoch is None else f" of epoch {kept_epoch}"
    has = "an unknown value" if value is None else show(value)
    return f"{monitor} {has} does not replace the file{at} of an earlier attempt: its {show(kept)} is better"


def _named(shown: str, epoch: int | None) -> str:
    return f"the starting value {shown}" if epoch is None else f"{shown} (epoch {epoch})"
