"""Keras' callbacks, exactly as Keras has them, and recorded.

    from tracker_keras import EarlyStopping, ModelCheckpoint, TrackerCallback

    model.fit(x, y, callbacks=[TrackerCallback(experiment="digits"), EarlyStopping(patience=3)])

Each class is a subclass of Keras' own of that name: Keras decides, the run keeps what and why.
What else ``keras.callbacks`` has, such as ``Callback``, is here as Keras has it, so that one import
line can be changed as a whole.
Importing the package wraps ``keras.Model.fit`` and ``keras.callbacks.CallbackList.on_train_begin``, because
Keras tells callbacks neither how ``fit`` ended, nor the batch size, nor who else takes part;
``tracker_keras.session.fit_hook.fit_hook.unwrap()`` takes that back.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.callbacks import Callback, CallbackList, ProgbarLogger, RemoteMonitor, SwapEMAWeights

from local_tracker import checked as checked
from tracker_keras.callbacks.backup_and_restore import BackupAndRestore
from tracker_keras.callbacks.base_logger import BaseLogger
from tracker_keras.callbacks.csv_logger import CSVLogger
from tracker_keras.callbacks.early_stopping import EarlyStopping
from tracker_keras.callbacks.history import History
from tracker_keras.callbacks.lambda_callback import LambdaCallback
from tracker_keras.callbacks.learning_rate_scheduler import LearningRateScheduler
from tracker_keras.callbacks.model_checkpoint import ModelCheckpoint
from tracker_keras.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from tracker_keras.callbacks.tensorboard import TensorBoard
from tracker_keras.callbacks.terminate_on_nan import TerminateOnNaN
from tracker_keras.callbacks.tracker_callback import TrackerCallback
from tracker_keras.session.checkpoint_file import load_checkpoint
from tracker_keras.session.fit_hook import fit_hook

__all__ = [
    "BackupAndRestore",
    "BaseLogger",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
    "TrackerCallback",
    "load_checkpoint",
]

fit_hook.wrap()


def __getattr__(name: str) -> Any:
    """Return what newer versions of Keras have in ``keras.callbacks``."""
    if not name.startswith("_") and hasattr(keras.callbacks, name):
        return getattr(keras.callbacks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what ``keras.callbacks`` has as well."""
    return sorted({*globals(), *(name for name in dir(keras.callbacks) if name[0].isupper())})
