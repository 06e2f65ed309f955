"""The demo's trainings, shortened, once for all tests that ask about them."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import ROOT


@dataclass(frozen=True)
class Demo:
    """A folder with the demo's database and checkpoints, and what the frameworks' History objects hold."""

    folder: Path
    histories: dict[str, dict[str, list[float]]]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the trainings of examples/demo.py for twelve epochs."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    folder, before = tmp_path_factory.mktemp("demo"), Path.cwd()
    os.chdir(folder)
    try:
        return Demo(folder, module.train_all(epochs=12))
    finally:
        os.chdir(before)


@pytest.fixture
def demo(trained: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Work in the folder of the demo."""
    monkeypatch.chdir(trained.folder)
    return trained
