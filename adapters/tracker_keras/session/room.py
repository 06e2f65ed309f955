"""Room on a disk: HDF5 may crash the process where a disk is full while a file is written."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

_MARGIN = 65536
"""Bytes that a file takes beside its weights, and that others write meanwhile."""


def require_room(folder: Path, size: int) -> None:
    """Raise OSError if a folder's disk has no room for a file of so many bytes."""
    if folder.is_dir() and shutil.disk_usage(folder).free < size + _MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def weights_size(model: Any) -> int:
    """Return how many bytes the weights of a model take: a file takes at least as many. A stand-in has none."""
    variables = getattr(model, "variables", ())
    return sum(math.prod(one.shape) * _item_size(one.dtype) for one in variables)


def largest_size(model: Any) -> int:
    """Return how many bytes a file of a model takes at most, with its optimizer."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *getattr(optimizer, "variables", ())]
    return sum(math.prod(one.shape) * _WIDEST for one in variables)


_WIDEST = 8
"""Bytes of an element of the widest type that Keras trains with."""


def _item_size(dtype: Any) -> int:
    bits = re.search(r"\d+", str(dtype))
    return max(1, int(bits[0]) // 8) if bits else 1
