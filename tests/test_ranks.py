"""Which of several processes this one is."""

from __future__ import annotations

import pytest

import tracker


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, 0),
        ({"PMIX_RANK": "1"}, 1),
        ({"RANK": "0", "SLURM_PROCID": "2"}, 0),
        ({"RANK": "", "SLURM_PROCID": "2"}, 2),
        ({"RANK": "none", "OMPI_COMM_WORLD_RANK": "²", "PMI_RANK": "3"}, 3),
    ],
)
def test_the_first_variable_that_is_a_number_counts(
    variables: dict[str, str], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracker.rank() == rank
    assert tracker.enabled() == (rank == 0)


@pytest.mark.parametrize(
    ("mode", "records"),
    [
        ("", True),
        ("disabled", False),
        ("off", False),
        (" False ", False),
        ("0", False),
        ("on", True),
    ],
)
def test_the_mode_is_read_as_people_write_it(
    mode: str, records: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRACKER_MODE", mode)
    assert tracker.enabled() == records
    assert not caplog.messages


def test_a_mode_without_a_meaning_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRACKER_MODE", "disbled")
    assert tracker.enabled() and tracker.enabled()
    (message,) = caplog.messages
    assert "'disbled', which has no meaning" in message and "TRACKER_MODE=disabled" in message
