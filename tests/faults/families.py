"""Every family of faults."""

from __future__ import annotations

from tests.faults import (
    canaries,
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
    leaks,
    names,
    power,
    ranks,
    resumes,
    servers,
    strangers,
    suites,
    swaps,
    upgrades,
    values,
    workers,
)
from tests.faults.family import Family

FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (
        kills,
        upgrades,
        formats,
        endings,
        power,
        disks,
        folders,
        damage,
        files,
        swaps,
        names,
        canaries,
        leaks,
        resumes,
        clocks,
        errors,
        strangers,
        workers,
        ranks,
        crowds,
        servers,
        values,
        suites,
    )
    for family in module.FAMILIES
)
