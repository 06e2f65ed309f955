"""What people see is cut where nobody would read it; what programs read is whole."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import tracker

TEXT = "x" * 100_000
NESTED = {f"key_{place}": place for place in range(3000)}
LIST = list(range(30_000))


@pytest.fixture(autouse=True)
def runs(folder: object) -> None:
    for place, name in enumerate(("a", "b")):
        params = {
            "text": TEXT + name,
            "list": [place, *LIST],
            "nested": [NESTED | {"own": place}],
            "flag": bool(place),
        }
        tags = {"long": TEXT, "t" * 5000: "name"}
        with tracker.start_run(name=name, params=params, tags=tags) as run:
            run.capture(optimizer={"groups": LIST})
            run.log_epoch(0, {"loss": 1.0})


@pytest.mark.parametrize(
    "words", [["show", "a"], ["compare", "a", "b"], ["compare", "a", "b", "--all"]]
)
def test_long_values_are_cut_in_tables(cli: Any, words: list[str]) -> None:
    out = cli("runs", *words).stdout
    assert max(map(len, out.splitlines())) < 700
    assert "… (100001 characters)" in out
    assert len(out) < 60_000


@pytest.mark.parametrize("words", [["show", "a"], ["compare", "a", "b"]])
def test_json_has_everything(cli: Any, words: list[str]) -> None:
    out = cli("runs", *words, "--format", "json").stdout
    assert TEXT + "a" in json.dumps(json.loads(out))
    assert '"key_2999": 2999' in json.dumps(json.loads(out))


def test_thousands_of_params_are_counted(cli: Any) -> None:
    with tracker.start_run(name="many", params={f"p{place}": place for place in range(3000)}):
        pass
    out = cli("runs", "show", "many").stdout
    assert "… and 2800 more: --format json has everything" in out
    assert "\np0 " in out
    assert "\np999 " not in out


def test_a_reason_is_shown_whole(cli: Any) -> None:
    reason = "because " * 100
    run = tracker.start_run(name="why")
    run.finish("failed", reason)
    assert reason.strip() in cli("runs", "show", "why").stdout


def test_false_is_not_shown_as_a_value_that_is_missing(cli: Any) -> None:
    with tracker.start_run(name="c", params={"none": None}):
        pass
    lines = cli("runs", "compare", "a", "b", "c").stdout.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("params.flag"))
    assert row == ["params.flag", "false", "true", "-"]
    shown = cli("runs", "show", "a").stdout
    assert re.search("^flag +false$", shown, re.MULTILINE)


def test_a_flag_of_a_listing_is_yes_or_no(cli: Any, folder: Any) -> None:
    with tracker.start_run(name="files") as run:
        for name in ("1.pt", "2.pt"):
            (folder / name).write_text(name)
            run.log_checkpoint(name)
    assert "pinned" not in cli("checkpoints", "list", "files").stdout
    first = json.loads(cli("checkpoints", "list", "files", "--format", "json").stdout)[0]["id"]
    cli("checkpoints", "pin", first)
    heading, *rows = cli("checkpoints", "list", "files").stdout.splitlines()
    place = heading.split().index("pinned")
    assert "pinned" in heading
    assert sorted(word for row in rows for word in row.split() if word in {"yes", "no"}) == [
        "no",
        "yes",
    ]
    assert place > 0
