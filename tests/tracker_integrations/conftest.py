"""What the tests of the integrations share: the entry points are there, also where the package is not installed."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.helpers import ROOT


@pytest.fixture(scope="session", autouse=True)
def entry_points_are_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make what an installation writes, from pyproject.toml, where tests run in a bare checkout; for processes too."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    if entry_points(group=next(iter(groups))):
        return
    site = tmp_path_factory.mktemp("site")
    installed: Path = site / "local_tracker-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: local-tracker\nVersion: 0.1.0\n"
    )
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    # Before an older installation of ours, which would hide it.
    sys.path.insert(0, str(site))
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Train the small models of these tests on one thread: two cost more than they bring."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
