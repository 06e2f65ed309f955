"""What the documents say is run: Python blocks top to bottom, then the commands; twice in one folder, as people do."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tracker
from tests.helpers import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USES = {
    page: re.findall(r"^(?:from|import) (keras|torch)\b", page.read_text(), re.MULTILINE)
    for page in PAGES
}
INTEGRATIONS = ROOT / "docs" / "integrations"
"""Pages whose neighbours are in an environment of their own: tests/tracker_integrations runs them."""
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def runnable(*, integrations: bool = False) -> list[object]:
    """Give each page that has something to run; those that use a framework go to one process."""
    pages = [
        page
        for page in PAGES
        if (INTEGRATIONS in page.parents) == integrations
        and (blocks(page, "python") or blocks(page, "console"))
    ]
    return [
        pytest.param(
            page, id=page.stem, marks=pytest.mark.xdist_group("docs") if USES[page] else ()
        )
        for page in pages
    ]


@pytest.mark.parametrize("page", runnable())
def test_a_page_does_what_it_says_also_a_second_time(page: Path, folder: Path) -> None:
    run_page(page, folder)


def run_page(page: Path, folder: Path, turns: tuple[str, ...] = ("first", "second")) -> None:
    """Run what a page says; each turn in the same folder."""
    (folder / "page.py").write_text("\n".join(blocks(page, "python")))
    lines = "".join(blocks(page, "console")).splitlines()
    commands = [shlex.split(line[2:]) for line in lines if line.startswith("$ tracker ")]
    for turn in turns:
        for command in ([sys.executable, "page.py"], *commands):
            done = run(command, folder)
            assert done.returncode == 0, f"{turn} time: {shlex.join(command)}\n{done.stderr}"
            assert "Traceback" not in done.stderr


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would, with this environment's programs."""
    paths = [str(ROOT), str(ROOT / "adapters"), os.environ.get("PYTHONPATH", "")]
    environment = {
        # Beside other tests: threads of torch that wait for a core cost more than they give.
        "OMP_NUM_THREADS": "1",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        prose = BLOCK.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
        for target in re.findall(rf"{URLS['Source']}/(?:blob|tree)/main/([^)#\s\"]+)", prose):
            assert (ROOT / target).exists(), f"{page.name} links to {target}"


def test_links_of_the_readme_also_work_on_the_package_index() -> None:
    prose = BLOCK.sub("", (ROOT / "README.md").read_text())
    assert [link for link in re.findall(r"\]\((.+?)\)", prose) if "://" not in link] == []


@pytest.mark.parametrize("adapter", ["tracker_keras", "tracker_torch"])
def test_the_reference_has_every_public_callback(adapter: str) -> None:
    page = (ROOT / "docs" / "api" / f"{adapter}.md").read_text()
    assert f"::: {adapter}\n" in page
    # All of them.
    assert " members:" not in page


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api" / "tracker.md").read_text()
    listed = set(re.findall(r"^ +- (\w+)$", page, re.MULTILINE))
    modules = {"errors", *re.findall(r"^::: tracker\.(\w+)", page, re.MULTILINE), "files"}
    errors = {
        name
        for name in tracker.__all__
        if isinstance(getattr(tracker, name), type)
        and issubclass(getattr(tracker, name), tracker.TrackerError)
    }
    assert set(tracker.__all__) - errors - modules == listed
