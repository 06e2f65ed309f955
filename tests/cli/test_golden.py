"""Each view, as wide as terminals are, is what its file holds: `python -m tests.cli.golden --write` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.golden.screen import show
from tests.cli.golden.views import FOLDER, VIEWS, View, databases, text_of, ways
from tracker.cli.measure import cells_wide

_COPIED = re.compile(r"^  tracker |^(\S+ +)?\S{40,}$")
"""What stays on one line, however long: a command, and a path, name or hash by itself or behind its label."""
_ALWAYS_WIDE = "--wide"
_OWN_COLOURS = {"0", "1", "22", *map(str, range(31, 37))}
"""Bold and not, and the colours that a terminal defines for its background: neither black nor white."""


@pytest.fixture(scope="module")
def recorded() -> Iterator[dict[bool, Path]]:
    """Write the databases once."""
    with databases() as folders:
        yield folders


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.file)
def test_a_view_is_as_in_its_file_and_no_wider_than_the_terminal(
    view: View, recorded: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded[view.many])
    seen = list(ways(view, recorded[view.many]))
    by_way = dict(seen)
    for way, found in seen:
        lines = f"{found.out}\n{found.err}".split("\n")
        assert "colours" in way or [line for line in lines if line != line.rstrip()] == [], way
        if "columns" in way and _ALWAYS_WIDE not in view.words:
            shown = [re.sub(r"‹[\d;]*›", "", line) for line in lines if not _COPIED.search(line)]
            width = int(way.split()[0])
            assert [line for line in shown if cells_wide(line) > width] == [], way
        assert "\x1b" not in found.out + found.err
    ascii_only = by_way["80 columns, LC_ALL=C"]
    assert (ascii_only.out + ascii_only.err).isascii()
    plain = by_way["80 columns"]
    coloured = by_way.get("80 columns, colours", plain).out
    assert set(re.findall(r"‹(\d+)›", coloured)) <= _OWN_COLOURS
    bare = re.sub(r"‹\d+›", "", coloured).split("\n")
    assert [line.rstrip() for line in bare] == plain.out.split("\n")
    assert text_of(view, seen) == view.path.read_text(encoding="utf-8")


def test_every_file_is_of_a_view() -> None:
    assert {*FOLDER.glob("*.txt")} == {view.path for view in VIEWS}


def test_ten_thousand_runs_are_drawn_at_once(
    recorded: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recorded[True])
    lines = show(["runs", "list", "-n", "0"], width=80, NO_COLOR="1").out.splitlines()
    assert len(lines) == 10_001
    assert len({len(line) - len(line.lstrip()) for line in lines}) == 1
    assert max(map(cells_wide, lines)) <= 80
