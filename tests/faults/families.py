"""Every family of faults."""

from __future__ import annotations

from tests.faults import crowds, damage, disks, kills, power, servers
from tests.faults.family import Family

FAMILIES: tuple[Family, ...] = tuple(
    family
    for module in (kills, power, disks, damage, crowds, servers)
    for family in module.FAMILIES
)
