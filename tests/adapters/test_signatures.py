"""The Keras and the torch callbacks have the same names and take the same arguments, Keras' first."""

from __future__ import annotations

import inspect
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import pytest

import tracker_keras
import tracker_torch

CALLBACKS = (
    "BackupAndRestore", "BaseLogger", "CSVLogger", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "ModelCheckpoint", "ReduceLROnPlateau", "TensorBoard", "TerminateOnNaN",
)  # fmt: skip
UNLIKE_KERAS = {
    ("ReduceLROnPlateau", "**"): "Keras takes any name there, and refuses all",
    ("TensorBoard", "write_graph"): "a torch model is traced, which needs an example",
    ("TensorBoard", "profile_batch"): "torch has a profiler of its own",
    ("TensorBoard", "embeddings_freq"): "torch's writer takes embeddings, not layers",
    ("TensorBoard", "embeddings_metadata"): "torch's writer takes embeddings, not layers",
}
"""Arguments of Keras' that the torch callback lacks, or has with another default, and why."""


def arguments(kind: type, *, of: str) -> list[tuple[str, Any]]:
    """Return (name, default) of what may be given by position, or only by name; any name is "**"."""
    wanted = {
        "position": (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_KEYWORD),
        "name": (inspect.Parameter.KEYWORD_ONLY,),
    }
    return [
        ("**" if one.kind is one.VAR_KEYWORD else one.name, one.default)
        for one in inspect.signature(kind).parameters.values()
        if one.kind in wanted[of]
    ]


@pytest.mark.parametrize("name", CALLBACKS)
def test_both_take_the_arguments_of_keras_first(name: str) -> None:
    """Same names, order and defaults; what is ours is given by name only."""
    ours, theirs = getattr(tracker_torch, name), getattr(tracker_keras, name)
    keras_has = arguments(getattr(keras.callbacks, name, theirs), of="position")
    assert arguments(theirs, of="position") == keras_has
    both = [one for one in keras_has if (name, one[0]) not in UNLIKE_KERAS]
    assert [
        one for one in arguments(ours, of="position") if (name, one[0]) not in UNLIKE_KERAS
    ] == both
    assert set(arguments(theirs, of="name")) <= set(arguments(ours, of="name"))


def test_every_difference_to_keras_is_there() -> None:
    for name, argument in UNLIKE_KERAS:
        keras_has = dict(arguments(getattr(keras.callbacks, name), of="position"))
        ours = dict(arguments(getattr(tracker_torch, name), of="position"))
        assert argument in keras_has
        assert ours.get(argument, "missing") != keras_has[argument]


def test_both_offer_the_same_callbacks_and_start_runs_alike() -> None:
    assert {*CALLBACKS, "TrackerCallback"} <= set(tracker_keras.__all__)
    assert {name for name in dir(keras.callbacks) if name[0].isupper()} <= set(dir(tracker_keras))
    assert set(CALLBACKS) <= set(tracker_torch.__all__)
    starts = set(arguments(tracker_keras.TrackerCallback, of="position"))
    assert starts <= set(arguments(tracker_torch.Training, of="name"))
