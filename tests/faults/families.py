"""Every family of faults."""

from __future__ import annotations

from tests.faults import (
    clocks,
    crowds,
    damage,
    disks,
    endings,
    errors,
    files,
    folders,
    formats,
    kills,
    power,
    ranks,
    resumes,
    servers,
    strangers,
    swaps,
    workers,
)
from tests.faults.family import Family

FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (
        kills,
        formats,
        endings,
        power,
        disks,
        folders,
        damage,
        files,
        swaps,
        resumes,
        clocks,
        errors,
        strangers,
        workers,
        ranks,
        crowds,
        servers,
    )
    for family in module.FAMILIES
)
