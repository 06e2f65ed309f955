"""Nobody else may read what is recorded, whatever the umask."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

CODE = """
import os, sqlite3, sys
os.umask(int(sys.argv[1]))
import tracker
run = tracker.start_run()
run.log_epoch(0, {"loss": 1.0})
other = sqlite3.connect(".tracker/tracker.db", isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
run.log_epoch(1, {"loss": 1.0})
os._exit(0)
"""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_folders_are_0700_and_files_0600(umask: int, script: Any) -> None:
    script(CODE, umask).communicate()
    made = [Path(".tracker"), *Path(".tracker").rglob("*")]
    assert len(made) >= 6
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
