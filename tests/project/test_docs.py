"""What the documents say is run: Python blocks top to bottom, then the commands, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USES = {
    page: re.findall(r"^(?:from|import) (keras|torch)\b", page.read_text(), re.MULTILINE)
    for page in PAGES
}


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return [text for name, text in BLOCK.findall(page.read_text()) if name == language]


def runnable() -> list[object]:
    """Give each page that has something to run; those that use a framework go to one process."""
    pages = [page for page in PAGES if blocks(page, "python") or blocks(page, "console")]
    return [
        pytest.param(
            page, id=page.stem, marks=pytest.mark.xdist_group("docs") if USES[page] else ()
        )
        for page in pages
    ]


@pytest.mark.parametrize("page", runnable())
def test_a_page_does_what_it_says(page: Path, folder: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    script = folder / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in "".join(blocks(page, "console")).splitlines():
        if not line.startswith("$ tracker "):
            continue
        command = shlex.split(line[2:])
        asked = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert asked.returncode == 0, f"{line}\n{asked.stderr}"
        assert "Traceback" not in asked.stderr


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        prose = BLOCK.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
