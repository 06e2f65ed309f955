"""Environment variables: all are explained, and a misspelt one is told of."""

from __future__ import annotations

import re

import pytest

from tests.helpers import ROOT
from tracker.recording.system_metrics import sampler_of
from tracker.storage.location import locate
from tracker.variables import MEANINGS, report_misspelt

NAMED = re.compile(r"\bTRACKER_[A-Z_]+[A-Z]\b")


def test_every_variable_that_the_code_names_is_explained() -> None:
    files = [*(ROOT / "tracker").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    named = {name for file in files for name in NAMED.findall(file.read_text(encoding="utf-8"))}
    assert named == set(MEANINGS)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TRACKER_DATABASE", "TRACKER_DATABASE_URL"),
        ("TRACKER_DB_URL", "TRACKER_DATABASE_URL"),
        ("TRACKER_KEEP_BYTE", "TRACKER_KEEP_BYTES"),
    ],
)
def test_a_misspelt_variable_is_told_of_once(
    wrong: str, right: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(wrong, "here.db")
    report_misspelt.cache_clear()
    for _ in range(2):
        locate()
    assert [f"{wrong} is set" in said and right in said for said in caplog.messages] == [True]


@pytest.mark.parametrize("name", ["TRACKER_COLOUR_OF_MINE", "MY_TRACKER_DATABASE", *MEANINGS])
def test_other_peoples_variables_and_ours_are_not(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "x")
    report_misspelt.cache_clear()
    report_misspelt()
    assert not caplog.messages


@pytest.mark.parametrize("word", ["off", "0", "disabled", "False", " no "])
def test_one_word_switches_off_whatever_has_a_switch(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKER_SYSTEM", word)
    assert sampler_of(None, None) is None
