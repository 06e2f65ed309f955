"""Batch metrics are streamed in order, though Keras need not wait for them."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest

import tracker
from tracker_keras import TrackerCallback
from tracker_keras.session.batch_points import BatchPoints


def test_keras_may_go_on_while_batches_are_streamed(build, data):
    """The hook is safe to be called from other threads, and the points come in order all the same."""
    model = build(run_eagerly=False)
    callback = TrackerCallback(name="r", log_every=1)
    dispatch = keras.callbacks.CallbackList([callback])._async_train
    assert dispatch is keras.src.backend.IS_THREAD_SAFE
    model.fit(data.x, data.y, batch_size=2, epochs=3, verbose=0, callbacks=[callback])
    points = tracker.metrics("r", names="loss")
    assert points["step"].tolist() == list(range(1, 145))


@pytest.mark.parametrize("stride", [1, 2])
def test_what_comes_early_waits_for_what_was_before(stride):
    """Until the epoch's end, when nothing is coming any more."""
    found: list[int] = []
    points = BatchPoints(1, lambda: stride, lambda metrics, step: found.append(step))

    def add(*batches: int) -> None:
        thread = threading.Thread(target=lambda: [points.add(batch, {}) for batch in batches])
        thread.start()
        thread.join()

    first, second, _, fourth = (stride * place - 1 for place in range(1, 5))
    add(second)
    assert found == []
    add(first, fourth)
    assert found == [stride, 2 * stride]
    points.end_epoch()
    assert found == [stride, 2 * stride, 4 * stride]
    points.begin_epoch()
    add(first)
    assert found[-1] == 5 * stride


def test_what_other_callbacks_add_to_a_batch_is_streamed_if_it_is_a_number(build, data):
    class Adds(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            logs.update(text="text", number=np.float32(batch), both=np.ones(2), none=None)

    tracked = TrackerCallback(log_every=1)
    build().fit(data.x, data.y, epochs=1, verbose=0, callbacks=[Adds(), tracked])
    points = tracker.metrics(tracked.run.id)
    assert {"loss", "number"} < set(points["name"])
    assert {"text", "none", "both"}.isdisjoint(points["name"])
    added = points[points["name"] == "number"]
    assert len(added) > 1 and list(added["value"]) == list(added["step"] - 1)
