"""tensorboardX, with ``flush()`` after each epoch."""

from __future__ import annotations

from functools import partial

from tests.faults.recorders import tensorboardx
from tests.faults.recorders.tensorboardx import PACKAGE, RESUMES, read

__all__ = ["PACKAGE", "RESUMES", "TITLE", "read", "train"]

TITLE = "tensorboardX, `flush()` each epoch"
train = partial(tensorboardx.train, flush=True)
