"""In a notebook: the page inline, and runs that show themselves without a server."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

import tracker


def test_a_view_holds_a_frame_whose_link_opens_once(folder: Path) -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": 1.0})
    view = tracker.ui(run, height=300)
    assert view.path == f"/runs/{run.id}"
    frame = view._repr_html_()
    (link,) = re.findall(r'<iframe src="([^"]+)"', frame)
    with httpx.Client() as client:
        entered = client.get(link, follow_redirects=True)
        assert entered.status_code == 200 and str(entered.url).endswith(view.path)
        assert "frame-ancestors http://localhost:*" in entered.headers["content-security-policy"]
        assert "x-frame-options" not in entered.headers
    assert httpx.get(link).status_code == 403
    assert tracker.ui()._server is view._server


def test_an_unknown_run_is_refused_before_a_server_starts(folder: Path) -> None:
    tracker.start_run("digits", "a").finish()
    with pytest.raises(tracker.UnknownRun):
        tracker.ui("nobody")


def test_a_run_shows_its_curves_and_no_markup(folder: Path) -> None:
    name = "<script>alert(1)</script>"
    with tracker.start_run("digits", name) as run:
        assert "0 epochs" in run._repr_html_()
        for epoch in range(5):
            run.log_epoch(epoch, {name: float(epoch), "odd": float("nan")})
        card = run._repr_html_()
    assert "<script" not in card and "&lt;script&gt;" in card
    assert card.count("<polyline") == 1
    assert "running" in card and "5 epochs" in card
    assert "finished" in run._repr_html_()


def test_a_run_that_is_not_recorded_shows_itself_too(folder: Path) -> None:
    with tracker.start_run("digits", recording=False) as run:
        run.log_epoch(0, {"loss": 1.0})
        assert "0 epochs" in run._repr_html_()
