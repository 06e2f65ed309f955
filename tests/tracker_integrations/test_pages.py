"""What the pages of the integrations say is run, where their neighbours are installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.project.test_docs import blocks, run_page, runnable


@pytest.mark.parametrize("page", runnable(integrations=True))
def test_a_page_does_what_it_says(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "\n".join(blocks(page, "python"))
    for package in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run_page(page, folder, turns=("first",))
