"""The walks of docs/architecture.md: short, as listed there, and never back into a module from below."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.helpers import ROOT, walks
from tests.helpers.walks import WALKS, Walk

BELOW = {
    "a step metric": 14,
    "an epoch": 13,
    "a verdict": 14,
    "a checkpoint": 17,
    "a listing": 24,
    "a resume": 29,
}
"""What each walk of the core entered before the modules were put into rooms."""

SINCE = {
    "tracker.worker",
    "tracker.recording.termination",
    "tracker.recording.sampled",
    "tracker.recording.system_metrics",
    "tracker.system_names",
    "tracker.storage.liveness",
    "tracker.policies.metric_names",
    "tracker.queries.pages",
    "tracker.cli.measure",
    "tracker.series.sparse",
    "tracker.storage.step_metrics",
    "tracker.storage.lock_file",
    "tracker.variables",
}
"""What does something that nothing did then: bounded waits, SIGTERM, what the machine does, a server's clock, names
as people mean them, any page of a long list at once, letters that take two cells of a terminal, or none, names that
share their blocks, what a transaction brings of step metrics as one, forks while another thread writes, and misspelt
environment variables."""


@pytest.fixture(scope="module")
def taken() -> dict[str, Walk]:
    """Return every walk, taken once."""
    return {name: walks.take(name) for name in WALKS}


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """Return docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.xdist_group("docs")
def test_the_page_lists_what_a_process_enters(taken: dict[str, Walk], generate: ModuleType) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert generate.walks(taken) in page, "run: python docs/generate.py"


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("name", BELOW)
def test_a_walk_of_the_core_is_shorter_than_it_was(taken: dict[str, Walk], name: str) -> None:
    entered = [module for module in taken[name].modules if module not in SINCE]
    assert len(entered) < BELOW[name], entered


@pytest.mark.xdist_group("docs")
@pytest.mark.parametrize("name", BELOW)
def test_a_walk_of_the_core_never_turns_back(taken: dict[str, Walk], name: str) -> None:
    assert taken[name].turns == []


@pytest.mark.parametrize(
    ("way", "turn"),
    [
        (["a", "b", "a"], "tracker.a → tracker.b → tracker.a"),
        (["a", "a", "b", "b", "c", "a"], "tracker.a → tracker.b → tracker.c → tracker.a"),
        (
            ["storage.spool", "queries.runs"],
            "tracker.storage.spool → tracker.queries.runs, to its right",
        ),
        (["a", "a"], None),
        (["cli.runs", "queries.runs", "storage.spool"], None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_turn_is_seen(way: list[str], turn: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        monkeypatch.setitem(walks.TIER, name, 0)
    found = walks.turn([f"tracker.{module}" for module in reversed(way)])
    assert found == turn
