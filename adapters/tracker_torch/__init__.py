"""Keras' callbacks around a plain PyTorch loop, recorded by local-tracker.

from tracker_torch import EarlyStopping, Training

with Training(model, optimizer, epochs=50, callbacks=[EarlyStopping(patience=3)]) as training:
    for epoch in training.epochs():
        for x, y in training.batches(loader):
            ...
            training.log(loss=loss)
        training.log_epoch(val_loss=validate(model))
"""

from __future__ import annotations

from local_tracker import checked as checked
from tracker_torch.callback import Callback
from tracker_torch.callback_list import CallbackList
from tracker_torch.callbacks.backup_and_restore import BackupAndRestore
from tracker_torch.callbacks.base_logger import BaseLogger
from tracker_torch.callbacks.csv_logger import CSVLogger
from tracker_torch.callbacks.early_stopping import EarlyStopping
from tracker_torch.callbacks.history import History
from tracker_torch.callbacks.lambda_callback import LambdaCallback
from tracker_torch.callbacks.learning_rate_scheduler import LearningRateScheduler
from tracker_torch.callbacks.lr_scheduler_callback import LRSchedulerCallback
from tracker_torch.callbacks.model_checkpoint import ModelCheckpoint
from tracker_torch.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from tracker_torch.callbacks.tensorboard import TensorBoard
from tracker_torch.callbacks.terminate_on_nan import TerminateOnNaN
from tracker_torch.state.checkpoint_file import load_checkpoint
from tracker_torch.training import Training

__all__ = [
    "BackupAndRestore",
    "BaseLogger",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LRSchedulerCallback",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "Training",
    "load_checkpoint",
]
