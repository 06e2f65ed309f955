"""TensorBoard's curves go on where a resumed run does."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from tracker_keras import BackupAndRestore, TensorBoard, TrackerCallback


def test_its_curves_have_no_seam_after_a_resume(fit, build):
    """Batches that an interruption cost are written once, and the counter does not start at 0 again."""

    def attempt(fails_at=None):
        def fail(batch, logs):
            if int(model.optimizer.iterations) == fails_at:
                raise RuntimeError("killed")

        model = build()
        failing = keras.callbacks.LambdaCallback(on_train_batch_end=fail)
        tracking = TrackerCallback(name="r", resume="auto")
        fit(model, [tracking, TensorBoard("board", update_freq=1), BackupAndRestore("b"), failing])

    with pytest.raises(RuntimeError, match="killed"):
        attempt(fails_at=5)
    for path in Path("board").glob("*/events.*"):  # as if it had been a while ago
        parts = path.name.split(".")
        path.rename(path.with_name(".".join([*parts[:3], "1700000000", *parts[4:]])))
    attempt()
    assert steps("board/train", "batch_loss") == list(range(1, 10))
    assert steps("board/train", "epoch_loss") == [0, 1, 2]
    assert steps("board/validation", "epoch_loss") == [0, 1, 2]


def steps(folder: str, tag: str) -> list[int]:
    """Read a curve's steps as TensorBoard does."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    found = EventAccumulator(folder)
    found.Reload()
    return [event.step for event in found.Tensors(tag)]
