"""Whether this process records: not when switched off, and only rank 0 of several."""

from __future__ import annotations

import os

MODE = "TRACKER_MODE"
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
"""Set by torchrun, SLURM, Open MPI, PMIx and MPICH; the first one that is a whole number counts."""


def rank() -> int:
    """Return this process's rank among those of one training, by the launcher's variables; 0 for a lone one."""
    for name in RANKS:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return int(text)
    return 0


def enabled() -> bool:
    """Whether this process records: ``TRACKER_MODE`` is not ``disabled`` and the rank is 0."""
    return os.environ.get(MODE, "").lower() != "disabled" and rank() == 0
