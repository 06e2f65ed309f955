"""The environment variables that are read: each says what a call or a command leaves open."""

from __future__ import annotations

import logging
import os
from functools import cache

from tracker.errors import alike, suggestion

log = logging.getLogger("tracker")

DATABASE_URL = "TRACKER_DATABASE_URL"
MODE = "TRACKER_MODE"
SYSTEM = "TRACKER_SYSTEM"
KEEP = "TRACKER_KEEP"
KEEP_BYTES = "TRACKER_KEEP_BYTES"
REMOTE = "TRACKER_REMOTE"
REMOTE_WAIT = "TRACKER_REMOTE_WAIT"
LIGHTNING = "TRACKER_LIGHTNING"
UI_TOKEN = "TRACKER_UI_TOKEN"
SIGNING_PASSWORD = "TRACKER_SIGNING_PASSWORD"

MEANINGS = {
    DATABASE_URL: "The database: a file, a folder, or a URL such as `postgresql://host/name`. "
    "By default `.tracker/` here or in the nearest parent folder.",
    MODE: "`disabled` or `off` records nothing; callbacks and decisions work on.",
    SYSTEM: "`off` does not measure the machine; a number measures it every so many seconds. By default 15.",
    KEEP: "What is kept of checkpoints that later runs replace, as in `start_run(keep=…)`: `best`, `run` or `none`.",
    KEEP_BYTES: "How much of them is kept at most, as in `start_run(keep_bytes=…)`: `20GB`.",
    REMOTE: "Where checkpoints are copied, as in `start_run(remote=…)`: `s3://bucket/folder`.",
    REMOTE_WAIT: "How many seconds the end of a run waits for copies in progress. By default 60.",
    LIGHTNING: "`off` leaves out every Lightning Trainer without a `TrackerLogger`.",
    UI_TOKEN: "The token that `tracker ui` asks for, so that its links stay the same. By default a new one.",
    SIGNING_PASSWORD: "The password of the key that signs checkpoints.",
}
"""By name, what a value means, in Markdown."""

_PREFIX = "TRACKER_"
_OFF = ("disabled", "disable", "off", "0", "false", "no")


def is_off(name: str) -> bool:
    """Whether a variable says that something is switched off, in any of the words that people use."""
    return os.environ.get(name, "").strip().lower() in _OFF


@cache
def report_misspelt() -> None:
    """Say once which variables are set that are read by nothing, but look like one that is."""
    for name in os.environ:
        if not name.startswith(_PREFIX) or name in MEANINGS:
            continue
        open_ones = [known.removeprefix(_PREFIX) for known in MEANINGS if known not in os.environ]
        if meant := alike(name.removeprefix(_PREFIX), open_ones):
            log.warning(
                "local-tracker: %s is set, but nothing reads it: %s",
                name, suggestion([_PREFIX + meant[0]]),
            )  # fmt: skip
