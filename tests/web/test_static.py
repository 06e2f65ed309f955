"""The page's files: what others wrote is what they released, ours stays small, nothing is fetched from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tracker.policies.early_stopping import RULES
from tracker.web.static_files import static_files

STATIC = ROOT / "tracker" / "web" / "static"
VENDORED = [
    pytest.param(folder, entry, id=entry["file"])
    for folder in (STATIC / "vendor", ROOT / "tests" / "web" / "vendor")
    for entry in json.loads((folder / "vendor.json").read_text())
]
OWN = sorted(STATIC.glob("*.js"))


@pytest.mark.parametrize(("folder", "entry"), VENDORED)
def test_a_vendored_file_is_the_one_that_was_released(
    folder: Path, entry: dict[str, object]
) -> None:
    content = (folder / str(entry["file"])).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert entry["package"] and entry["version"] and entry["license"]
    for name in entry["license_files"]:  # type: ignore[attr-defined]
        assert (folder / name).stat().st_size > 500


@pytest.mark.parametrize("folder", [STATIC / "vendor", ROOT / "tests" / "web" / "vendor"])
def test_each_vendored_file_is_listed(folder: Path) -> None:
    listed = {entry["file"] for entry in json.loads((folder / "vendor.json").read_text())}
    listed |= {
        name
        for entry in json.loads((folder / "vendor.json").read_text())
        for name in entry["license_files"]
    }
    assert {path.name for path in folder.iterdir()} == {
        *listed,
        "vendor.json",
        *(path.name for path in folder.glob("*.d.ts")),
    }


def test_our_own_scripts_stay_below_three_thousand_lines() -> None:
    assert sum(len(file.read_text().splitlines()) for file in OWN) < 3000


def test_the_page_adds_less_than_300_kilobytes_to_the_wheel() -> None:
    files = [
        path
        for path in (ROOT / "tracker" / "web").rglob("*")
        if path.suffix in (".py", ".js", ".css", ".html", ".svg", ".json", ".txt")
    ]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < 300_000


@pytest.mark.parametrize(
    "file", [*OWN, STATIC / "index.html", STATIC / "style.css"], ids=lambda file: file.name
)
def test_nothing_is_fetched_from_elsewhere(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[\w-]+\.\w+", text) == []
    assert "innerHTML" not in text and "dangerouslySetInnerHTML" not in text and "eval(" not in text


def test_the_page_has_no_script_or_style_within_it() -> None:
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page) == []


def test_every_script_that_is_imported_is_served() -> None:
    served = static_files()
    for file in OWN:
        for name in re.findall(r'from "\./([^"]+)"', file.read_text()):
            assert name in served, f"{file.name} imports {name}"


def test_a_replay_on_the_page_offers_all_rules_that_there_are() -> None:
    found = re.search(r"const RULES = (\[.*?\]);", (STATIC / "replay.js").read_text())
    assert found is not None and sorted(json.loads(found[1])) == sorted(RULES)
