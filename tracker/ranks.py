"""Whether this process records: not when switched off, and only rank 0 of several."""

from __future__ import annotations

import os
import sys

MODE = "TRACKER_MODE"
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
"""Set by torchrun, SLURM, Open MPI, PMIx and MPICH; the first one that is a whole number counts."""


def rank() -> int:
    """Return this process's rank among those of one training; 0 for a lone one.

    A process group of torch that is initialised says so itself, also without a launcher's variables, as
    after `torch.multiprocessing.spawn`.
    """
    torch = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        return int(torch.get_rank())
    for name in RANKS:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return int(text)
    return 0


def enabled() -> bool:
    """Whether this process records: ``TRACKER_MODE`` is not ``disabled`` and the rank is 0."""
    return os.environ.get(MODE, "").lower() != "disabled" and rank() == 0
