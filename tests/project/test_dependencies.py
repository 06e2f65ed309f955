"""What is declared is what is tested: the lowest versions, the Pythons, the types of every package."""

from __future__ import annotations

import re
import runpy
import tomllib

import pytest

import tracker
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_lowest_versions_are_those_of_the_declared_ranges() -> None:
    lowest = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))["constraints"]()
    written = (ROOT / "constraints-lowest.txt").read_text()
    assert written == lowest, "run: make constraints-lowest.txt"
    assert written.count("==") == len(PROJECT["dependencies"])


def test_the_lowest_neighbours_are_those_of_the_declared_ranges() -> None:
    (extras,) = re.findall(r"^NEIGHBOUR_EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    lowest = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))["constraints"](extras.split(","))
    written = (ROOT / "constraints-lowest-neighbours.txt").read_text()
    assert written == lowest, "run: make constraints-lowest-neighbours.txt"


def test_each_python_that_is_declared_is_tried() -> None:
    (tried,) = re.findall(
        r"^for version in (.*); do$", (ROOT / ".ci" / "pythons").read_text(), re.M
    )
    head = "Programming Language :: Python :: 3."
    declared = [text.removeprefix(head) for text in PROJECT["classifiers"] if text.startswith(head)]
    assert declared
    for minor in declared:
        assert f"3.{minor}" in tried.split()


@pytest.mark.parametrize(
    "package",
    [
        "tracker",
        "adapters/tracker_keras",
        "adapters/tracker_torch",
        "adapters/tracker_integrations",
    ],
)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


def test_the_version_is_the_same_in_both_places() -> None:
    assert PROJECT["version"] == tracker.__version__
