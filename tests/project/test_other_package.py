"""Where another package named ``tracker`` has taken the place of ours, the adapters and the command say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

THEIRS = {
    "for Python 2": "from itertools import izip_longest\n",
    "with other syntax": "print 'tracker'\n",
    "that works": "class Tracker: pass\n",
    "with names": "__all__ = ['Tracker']\n",
}
CALLS = {
    "command": "import local_tracker; local_tracker.main()",
    "torch": "import tracker_torch",
    "keras": "import tracker_keras",
}


def run(code: str, *first: Path) -> str:
    """Run ``code`` with these folders first on the path; return what it said when it failed."""
    path = os.pathsep.join(map(str, [*first, ROOT / "adapters"]))
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    return done.stderr.strip()


def another(folder: Path, code: str) -> Path:
    (folder / "site/tracker").mkdir(parents=True)
    (folder / "site/tracker/__init__.py").write_text(code)
    return folder / "site"


@pytest.mark.parametrize("theirs", THEIRS)
def test_a_distribution_that_was_installed_over_ours_is_named_with_the_way_back(
    theirs: str, tmp_path: Path
) -> None:
    site = another(tmp_path, THEIRS[theirs])
    (site / "tracker-0.1.dist-info").mkdir()
    (site / "tracker-0.1.dist-info/METADATA").write_text("Name: tracker\nVersion: 0.1\n")
    (site / "tracker-0.1.dist-info/top_level.txt").write_text("tracker\n")
    said = run(CALLS["command"], site)
    assert said.startswith("Error: the package `tracker` is not local-tracker's")
    assert "tracker was installed over it" in said and "pip uninstall -y tracker" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("call", ["torch", "keras"])
def test_an_adapter_raises_one_import_error(call: str, tmp_path: Path) -> None:
    last = run(CALLS[call], another(tmp_path, THEIRS["for Python 2"])).splitlines()[-1]
    assert last.startswith("ImportError: the package `tracker` is not local-tracker's")


def test_a_users_own_file_of_that_name_is_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "tracker.py").write_text("")
    said = run(CALLS["command"], tmp_path)
    assert f"that of {tmp_path / 'tracker.py'}." in said and "rename that one" in said
