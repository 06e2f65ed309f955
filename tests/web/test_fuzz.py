"""No call of the JSON interface, however wrong, is an error of the server: it is refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.pages import Page, serving
from tests.web.fuzz import BODIES, FEW, faults
from tests.web.test_access import record


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    record()
    with serving() as served:
        yield served


def test_every_bad_call_is_refused_with_a_sentence(page: Page) -> None:
    assert list(faults(page, FEW, BODIES[::2])) == []


@pytest.mark.parametrize(
    ("path", "asked", "sentence"),
    [
        ("/runs", {"were": "epochs > 1"}, "'were' is not a parameter of /api/v1/runs: did you mean where?"),
        ("/info", {"x": 1}, "'x' is not a parameter of /api/v1/info: there are none."),
        ("/runs", {"limit": 0}, "limit is '0': input should be greater than or equal to 1."),
        ("/groups", {}, "by is missing."),
        ("/runs/a/nothing", {}, "GET '/api/v1/runs/a/nothing' is not an address of this server: those are listed"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_is_wrong(
    page: Page, path: str, asked: dict[str, object], sentence: str
) -> None:
    answer = page.get(path, **asked)
    assert answer.status_code in (400, 404, 422)
    assert answer.json()["error"].startswith(sentence)
    assert answer.json()["kind"]


def test_a_misspelt_field_of_a_change_changes_nothing(page: Page) -> None:
    answer = page.send("POST", "/deletion", {"runs": ["a"], "file": True})
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "'file' is not a field of this call.",
    )
    answer = page.send("PATCH", "/runs/a", {"note": "x", "tag": {}})
    assert answer.status_code == 422
    assert page.get("/runs/a").json()["run"]["note"] is None
