"""The JSON interface, as scripts use it: pages of runs, groups, series, replays, changes; on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracker
from tests.helpers.pages import Page, serving


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    with serving() as served:
        yield served


def series(
    page: Page, run: str, **params: Any
) -> tuple[Any, list[float], list[float], list[float]]:
    """Return the heads of a step metric's answer, x, y, and the odd values."""
    answer = page.get(f"/runs/{run}/series", **params)
    assert answer.status_code == 200, answer.text
    points, odd = int(answer.headers["x-points"]), int(answer.headers["x-odd"])
    numbers = np.frombuffer(answer.content, "<f8").tolist()
    assert len(numbers) == 2 * (points + odd)
    return (
        answer.headers,
        numbers[:points],
        numbers[points : 2 * points],
        numbers[-odd:] if odd else [],
    )


def test_pages_of_runs_follow_each_other(page: Page) -> None:
    for number in range(7):
        with tracker.start_run("digits", f"run-{number}", params={"lr": number}) as run:
            run.log_epoch(0, {"val_loss": float(number)})
    found: list[str] = []
    for sort in ("started", "val_loss", "params.lr"):
        found = []
        for offset in range(0, 9, 3):
            answer = page.get("/runs", sort=f"{sort}:desc", limit=3, offset=offset).json()
            assert answer["total"] == 7
            found += [row[1] for row in answer["rows"]]
        assert found == [f"run-{number}" for number in reversed(range(7))], sort
    assert page.get("/runs", limit=3, where="val_loss < 2").json()["total"] == 2


def test_the_columns_that_vary_are_named(page: Page) -> None:
    for number in range(2):
        tracker.start_run("digits", params={"lr": number, "same": 1}).finish()
    assert page.get("/runs").json()["varying"] == ["params.lr"]


def test_runs_are_counted_per_value_of_a_field(page: Page) -> None:
    for experiment, rate in (("digits", 0.1), ("digits", 0.2), ("wine", 0.1)):
        tracker.start_run(experiment, params={"lr": rate}).finish()

    def counts(**asked: str) -> dict[Any, int]:
        return {row["value"]: row["runs"] for row in page.rows("/groups", **asked)}

    assert counts(by="experiment") == {"digits": 2, "wine": 1}
    assert counts(by="params.lr") == {0.1: 2, 0.2: 1}
    assert counts(by="status", where="params.lr > 0.1") == {"finished": 1}
    (first, _) = page.rows("/groups", by="experiment", judged=True)
    assert (first["value"], first["best"], first["running"]) == ("wine", None, 0)
    refused = page.get("/groups", by="params.l")
    assert refused.status_code == 400 and "did you mean" in refused.json()["error"]
    assert page.get("/groups", by="experiment,status").json()["error"].endswith("or params.lr.")


def test_an_error_is_the_sentence_of_the_command_line(page: Page, cli: Any) -> None:
    tracker.start_run("digits", "a").finish()
    refused = page.get("/runs", where="epoch < 1")
    assert refused.status_code == 400 and refused.json()["kind"] == "WhereError"
    assert refused.json()["error"] in cli("runs", "list", "--where", "epoch < 1").stderr
    assert page.get("/runs/no-such-run").status_code == 404


def test_a_run_says_what_the_command_line_says(page: Page, cli: Any) -> None:
    with tracker.start_run("digits", "a") as run:
        policy = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 1})
        for epoch in range(2):
            run.log_epoch(epoch, {"loss": 1.0})
        policy.decide("stopped", epoch=1, reason="loss 1 did not beat 1 (epoch 0); 1 of 1 waits")
        run.finish("stopped_early")
    said = cli("runs", "show", "a").stdout.split("\n")
    assert page.get("/runs/a").json()["sentences"] == said[1:3]


def test_points_come_back_as_they_were_logged(page: Page) -> None:
    with tracker.start_run("digits", "a") as run:
        for step, value in enumerate([0.5, math.nan, -1.25, math.inf, 3.0]):
            run.log({"x": value}, step=10 * step)
    heads, x, y, odd = series(page, "a", name="x")
    assert (x, y) == ([0, 20, 40], [0.5, -1.25, 3.0])
    assert math.isnan(odd[0]) and odd[1] == math.inf
    assert (heads["x-total"], heads["x-first"], heads["x-last"]) == ("5", "0.0", "40.0")


def test_a_zoom_shows_more_and_loses_no_peak(page: Page) -> None:
    with tracker.start_run("digits", "a") as run:
        for step in range(30_000):
            run.log({"x": 100.0 if step == 12_345 else math.sin(step)}, step=step)
    heads, x, y, _ = series(page, "a", name="x", points=200)
    assert int(heads["x-total"]) == 30_000 and len(x) <= 200
    assert max(y) == 100.0 and x[y.index(100.0)] == 12_345
    heads, x, y, _ = series(page, "a", name="x", points=200, **{"from": 12_300, "to": 12_399})
    assert x == list(range(12_300, 12_400))
    assert [value for step, value in zip(x, y, strict=True) if step != 12_345] == [
        math.sin(step) for step in x if step != 12_345
    ]


def test_smoothing_is_over_all_points(page: Page) -> None:
    values = [math.sin(step / 7) + step % 3 for step in range(5000)]
    with tracker.start_run("digits", "a") as run:
        for step, value in enumerate(values):
            run.log({"x": value}, step=step)
    mean, expected = 0.0, []
    for count, value in enumerate(values, 1):
        mean = 0.9 * mean + 0.1 * value
        expected.append(mean / (1 - 0.9**count))
    _, x, y, _ = series(page, "a", name="x", points=300, ema=0.9)
    assert y == pytest.approx([expected[int(step)] for step in x], rel=1e-9)


def test_repeated_steps_of_a_resumed_run_are_left_out(page: Page) -> None:
    run = tracker.start_run("digits", "a")
    for step in range(10):
        run.log({"x": 1.0}, step=step)
    run.finish("interrupted")
    with tracker.start_run("digits", "a", resume="a") as again:
        for step in range(5, 12):
            again.log({"x": 2.0}, step=step)
    _, x, y, _ = series(page, "a", name="x")
    assert x == list(range(12)) and y == [1.0] * 5 + [2.0] * 7
    _, when, y, _ = series(page, "a", name="x", x="time")
    assert when == sorted(when) and y == [1.0] * 5 + [2.0] * 7


def test_new_points_are_added_to_what_is_decoded(page: Page) -> None:
    run = tracker.start_run("digits", "a")
    for total in (5, 9_000, 9_010):
        for step in range(run.steps_done() if total == 0 else total):
            run.log({f"x{total}": 1.0}, step=step)
        run.log_epoch(total, {"loss": 1.0})
        assert series(page, "a", name=f"x{total}")[0]["x-total"] == str(total)
    for step in range(9_010, 9_020):
        run.log({"x9010": 1.0}, step=step)
    run.log_epoch(9_999, {"loss": 1.0})
    assert series(page, "a", name="x9010")[0]["x-total"] == "9020"
    run.finish()


@pytest.mark.parametrize(
    "wrong", [{"points": 3}, {"points": 10**6}, {"ema": 1}, {"ema": -1}, {"name": "y"}, {"x": "z"}]
)
def test_an_impossible_series_is_refused(page: Page, wrong: dict[str, Any]) -> None:
    with tracker.start_run("digits", "a") as run:
        run.log({"x": 1.0}, step=0)
    answer = page.get("/runs/a/series", **{"name": "x", **wrong})
    assert answer.status_code in (400, 404, 422)


def test_a_replay_is_that_of_the_command_line(page: Page, cli: Any) -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(12):
            run.log_epoch(epoch, {"val_loss": abs(epoch - 5) / 10 + 0.1})
    told = json.loads(cli("decisions", "replay", "a", "--patience", "3", "--format", "json").stdout)
    assert page.rows("/replay", runs="a", patience=3) == told
    curve = page.get("/replay", runs="a", patience="1..5").json()["curve"]
    assert [row[0] for row in curve["rows"]] == [1, 2, 3, 4, 5]
    for policy in ("ReduceLROnPlateau", "ModelCheckpoint"):
        assert page.get("/replay", runs="a", policy=policy).status_code == 200
    assert page.get("/replay", runs="a", patience="x").status_code == 400


def test_the_interface_describes_itself(page: Page) -> None:
    paths = page.get("/openapi.json").json()["paths"]
    assert all(path.startswith("/api/v1/") for path in paths)
    assert all(operation.get("summary") for path in paths.values() for operation in path.values())
    assert "/api/v1/runs/{run}/series" in paths


def test_a_running_run_is_not_deleted(page: Page) -> None:
    run = tracker.start_run("digits", "a")
    answer = page.send("POST", "/deletion", {"runs": ["a"]})
    assert answer.status_code == 409
    run.finish()
    assert page.send("POST", "/deletion", {"runs": ["a"]}).status_code == 200
    assert page.rows("/runs") == []


def test_a_database_of_another_program_is_refused_before_a_socket_opens(
    folder: Path, cli: Any
) -> None:
    Path("other.db").write_bytes(b"not a database, but quite a long text " * 30)
    refused = cli("ui", "--no-open", "--port", "0", "--database", "other.db")
    assert refused.exit_code == 1 and "other.db" in refused.stderr


def test_a_port_that_is_taken_is_said(folder: Path, cli: Any) -> None:
    with serving() as page:
        refused = cli("ui", "--no-open", "--port", page.server.port)
        assert refused.exit_code == 1 and "--port" in refused.stderr


def test_an_overview_of_many_points_loses_no_peak_and_no_odd_value(page: Page) -> None:
    total = 250_000
    values = np.sin(np.arange(total) / 900)
    values[[7, 123_456, 249_990]] = 50.0, -60.0, 70.0
    values[200_123] = math.nan
    with tracker.start_run("digits", "a") as run:
        for step, value in enumerate(values.tolist()):
            run.log({"x": value}, step=step)
    for x_of in ("step", "time"):
        heads, x, y, odd = series(page, "a", name="x", x=x_of, points=1000)
        assert int(heads["x-total"]) == total and len(x) <= 1000 and x == sorted(x)
        assert {50.0, -60.0, 70.0} <= set(y) and (len(odd), math.isnan(odd[0])) == (1, True)
    # Within the range that is drawn from sketches: its ends are cut exactly.
    start, stop = 1000, 248_999
    heads, x, y, _ = series(page, "a", name="x", points=1000, **{"from": start, "to": stop})
    assert int(heads["x-total"]) == stop - start + 1
    assert (x[0], x[-1]) == (start, stop) and -60.0 in y and 50.0 not in y and 70.0 not in y
    few = {"from": 123_450, "to": 123_460}
    heads, x, y, _ = series(page, "a", name="x", **few)
    assert x == list(range(123_450, 123_461)) and y == values[123_450:123_461].tolist()


def test_a_logarithmic_axis_shows_as_many_points_of_each_doubling(page: Page) -> None:
    total = 250_000
    values = np.cos(np.arange(total) / 7)
    values[[3, 40, 50_000]] = 50.0, -60.0, 70.0
    with tracker.start_run("digits", "a") as run:
        for step, value in enumerate(values.tolist()):
            run.log({"x": value}, step=step)
    for more in ({}, {"to": 150_000}, {"ema": 1e-9}):
        heads, x, y, _ = series(page, "a", name="x", points=600, scale="log", **more)
        assert int(heads["x-total"]) == (more.get("to", total - 1))
        assert x[:16] == list(range(1, 17)) and len(x) <= 600 and x == sorted(x)
        if "ema" not in more:
            assert {50.0, -60.0, 70.0} <= set(y)
        counts = np.histogram(x, 2.0 ** np.arange(5, 18))[0]
        assert counts.min() >= 15 and counts.max() <= 40
    refused = page.get("/runs/a/series", name="x", scale="log", x="time")
    assert refused.status_code == 400 and "only steps" in refused.json()["error"]


def test_an_unknown_address_is_the_page_for_a_browser_and_json_for_a_program(page: Page) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/nothing", "/runs/a/b/c", "/api"):
        answer = page.client.get(path, headers=browser)
        assert (answer.status_code, "<!doctype html>" in answer.text) == (404, True), path
        assert page.client.get(path).json()["kind"] == "UnknownAddress"
    for path in ("/api/v1/nothing", "/api/v2/runs"):
        assert page.client.get(path, headers=browser).json()["kind"] == "UnknownAddress"
    assert page.client.post("/api/v1/runs", headers=browser).status_code in (403, 405)


def test_a_link_to_a_name_leads_to_that_name(page: Page) -> None:
    key = page.server.keys.link_key()
    answer = page.client.get(f"/runs/a%2Fb%3F%25?token={key}", follow_redirects=False)
    assert answer.headers["location"] == "/runs/a%2Fb%3F%25"
