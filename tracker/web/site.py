"""What the routes of one server share: its database, whether it may be changed, the blocks it has decoded."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tracker.storage.database import Location, Reader, reading
from tracker.web.curves import Blocks
from tracker.web.events import Watcher


@dataclass
class Site:
    """One server's surroundings.

    Attributes:
        location: the database.
        read_only: whether nothing may be changed.
        blocks: step metrics that were decoded.
        watcher: tells open pages what changed.
    """

    location: Location
    read_only: bool = False
    blocks: Blocks = field(default_factory=Blocks)
    watcher: Watcher = field(init=False)

    def __post_init__(self) -> None:
        self.watcher = Watcher(self.location)

    def reading(self) -> AbstractContextManager[Reader]:
        """Open the database for one request: what is committed now."""
        return reading(self.location)
