"""Planted secrets are in no file that is written."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

CODE = """
import sqlite3, sys, tracker
run = tracker.start_run()
run.capture(client={"password": "HUSH with spaces", "url": "https://me:HUSH@host"})
run.add_policy("EarlyStopping", config={"api_key": "HUSH"}).decide(
    "waited", epoch=0, reason="token=HUSH")
other = sqlite3.connect(".tracker/tracker.db", isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
with run:
    raise ConnectionError("postgresql://me:HUSH@host/db refused Authorization: Bearer HUSH")
"""


def test_no_file_holds_a_planted_secret(folder: Path, script: Any) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://HUSH@example.org/x"], check=True)
    arguments = ["--password", "HUSH", "--hf-token=HUSH", "https://a:HUSH@b", "DB_PASSWORD=HUSH x"]
    script(CODE, *arguments, env={"API_KEY": "HUSH", "PGPASSWORD": "HUSH"}).communicate()
    files = [path for path in (folder / ".tracker").rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert [path.name for path in files if b"HUSH" in path.read_bytes()] == []
