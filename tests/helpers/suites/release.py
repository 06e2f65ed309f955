"""A neighbour's own tests, from the source distribution of the release that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from filelock import FileLock

from tests.helpers import ROOT

FETCHED = Path(sys.prefix) / "releases"
"""Where releases are unpacked: beside what is installed, so that each is fetched once per environment."""


def release(package: str) -> Path:
    """Return the unpacked source distribution of the installed version of a package."""
    wanted = f"{package}=={version(package)}"
    folder = FETCHED / wanted
    FETCHED.mkdir(exist_ok=True)
    with FileLock(FETCHED / f"{wanted}.lock"):
        if not folder.exists():
            _fetch(package, wanted, folder)
    (root,) = (path for path in folder.iterdir() if path.is_dir())
    return root


def _fetch(package: str, wanted: str, folder: Path) -> None:
    arriving = folder.with_name(f"{folder.name}.part")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--no-binary", package, "--dest", arriving, wanted], check=True
    )
    (archive,) = arriving.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(arriving, filter="data")
    arriving.rename(folder)


def run_suite(package: str, *arguments: str, plugin: str) -> dict[str, str]:
    """Run tests of a release with ours in the place of theirs.

    Args:
        package: whose tests.
        *arguments: for pytest: files below the root of the release, and options.
        plugin: the module beside this one that puts ours in their place.

    Returns:
        What became of each test: ``passed``, or ``failed: …``, ``error: …`` or ``skipped: …`` with what was reported.
    """
    report = Path("suite.xml").absolute()
    paths = [str(ROOT / "tests/helpers/suites"), str(ROOT), str(ROOT / "adapters")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
        "TRACKER_DATABASE_URL": str(Path("suite.db").absolute()),
        "OMP_NUM_THREADS": "1",
    }
    options = [
        "-q",
        "-p",
        plugin,
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        f"--junit-xml={report}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=release(package), env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return {_name(case): _outcome(case) for case in ElementTree.parse(report).iter("testcase")}


def _name(case: ElementTree.Element) -> str:
    module = case.get("classname", "").rpartition("tests.")[2]
    return f"{module}.{case.get('name')}"


def _outcome(case: ElementTree.Element) -> str:
    for kind in ("failure", "error", "skipped"):
        if (found := case.find(kind)) is not None:
            word = "failed" if kind == "failure" else kind
            return f"{word}: {found.get('message')}"
    return "passed"
