"""What happens while a page is open: a training is followed to its stop, a killed run turns to lost."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.pages import Tab, serving
from tests.web.left_open import followed

pytestmark = pytest.mark.xdist_group("browser")

TRAIN = "from tests.helpers.web_training import train; train({epochs}, {pause})"


def test_a_training_is_followed_from_its_first_epoch_to_its_stop(
    tab: Tab, script: Any, cli: Any
) -> None:
    from playwright.sync_api import expect

    shown = tab.open("/")
    expect(tab.find(".empty")).to_contain_text("No runs yet")
    training = script(TRAIN.format(epochs=60, pause=0.15))
    expect(tab.find("tr[data-run=watched] .status.running")).to_be_visible(timeout=120_000)
    tab.find("tr[data-run=watched] a.run-name").click()
    expect(tab.find(".lead")).to_contain_text("Running", timeout=10_000)
    expect(tab.find(".mark.improved").first).to_be_visible(timeout=10_000)
    expect(tab.find(".waits").first).to_have_text(
        re.compile(r"EarlyStopping: \d of 5 waits used; val_loss needs < 0\.\d+"), timeout=10_000
    )
    tab.picture("run-live")
    expect(tab.find(".lead")).to_contain_text("Stopped early", timeout=60_000)
    assert training.wait() == 0, training.stderr.read()
    said = cli("runs", "show", "watched").stdout.split("\n")
    assert tab.find(".lead").inner_text() == said[1]
    assert tab.find(".said p").nth(1).inner_text() == said[2]
    (reason,) = {
        row["reason"]
        for row in tracker.decisions("watched").to_dict("records")
        if row["verdict"] == "stopped"
    }
    assert reason in tab.find(".mark.stopped title").first.text_content()
    for kind in ("reduced", "saved"):
        expect(tab.find(f".mark.{kind}").first).to_be_attached()
    expect(tab.find(".chart-title", has_text="learning rate")).to_be_visible()
    tab.picture("run-stopped")
    shown.go_back()
    expect(tab.find("tr[data-run=watched] .status.stopped_early")).to_be_visible()


def test_an_epoch_shows_within_a_second_and_a_step_within_two(tab: Tab) -> None:
    from playwright.sync_api import expect

    run = tracker.start_run("digits", "now")
    run.log_epoch(0, {"loss": 1.0})
    run.log({"batch_loss": 1.0}, step=0)
    tab.open(f"/runs/{run.id}")
    expect(tab.find(".step-chart")).to_have_attribute("data-total", "1")
    lead, epochs, steps = tab.find(".lead"), [], []
    for epoch in range(1, 8):
        started = time.monotonic()
        run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
        expect(lead).to_contain_text(f"{epoch + 1} epochs")
        epochs.append(time.monotonic() - started)
        started = time.monotonic()
        run.log({"batch_loss": 1.0}, step=epoch)
        expect(tab.find(".step-chart")).to_have_attribute("data-total", str(epoch + 1))
        steps.append(time.monotonic() - started)
    run.finish()
    # What else runs on the machine delays some of them; a slow way would delay all.
    assert sorted(epochs)[1] < 1, epochs
    assert sorted(steps)[1] < 2, steps


def test_ten_runs_at_once_are_followed(tab: Tab) -> None:
    from playwright.sync_api import expect

    tab.open("/")
    runs = [tracker.start_run("digits", f"run-{number}") for number in range(10)]
    for epoch in range(3):
        for run in runs:
            run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
    expect(tab.find("tr[data-run] .status.running")).to_have_count(10)
    for run in runs:
        expect(tab.find(f"tr[data-run={run.name}] td.col-epochs")).to_have_text("3")
        run.finish()
    expect(tab.find("tr[data-run] .status.finished")).to_have_count(10)


def test_a_killed_run_turns_to_lost(tab: Tab, script: Any) -> None:
    from playwright.sync_api import expect

    process = script(
        "import time, tracker\nrun = tracker.start_run('digits', 'killed')\n"
        "run.log_epoch(0, {'loss': 1.0})\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    assert process.stdout.readline() == "ready\n"
    tab.open("/")
    expect(tab.find("tr[data-run=killed] .status.running")).to_be_visible()
    process.kill()
    process.wait()
    expect(tab.find("tr[data-run=killed] .status.lost")).to_be_visible(timeout=8_000)


def test_a_page_left_open_does_not_grow(tab: Tab) -> None:
    """A few changes; `python -m tests.web.left_open` makes as many as a day has."""
    before, after = followed(tab, changes=8, looks=1)
    assert not after.has_grown_from(before), (before, after)


def test_the_server_looks_for_changes_only_while_somebody_listens(tab: Tab) -> None:
    import threading

    from playwright.sync_api import expect

    def watchers() -> int:
        return sum(thread.name == "tracker ui: changes" for thread in threading.enumerate())

    tab.open("/")
    expect(tab.find(".live")).to_have_text("live")
    assert watchers() == 1
    tab.shown.goto("about:blank")
    give_up = time.monotonic() + 10
    while watchers() and time.monotonic() < give_up:
        time.sleep(0.1)
    assert watchers() == 0


def test_more_tabs_than_a_browser_has_connections_are_all_live(tab: Tab) -> None:
    """Browsers allow six connections to a server: a seventh stream would never open, nor anything else."""
    from playwright.sync_api import expect

    tab.open("/")
    others = [tab.shown.context.new_page() for _ in range(8)]
    for other in others:
        other.goto(tab.page.origin)
        expect(other.locator(".live")).to_have_text("live")
    run = tracker.start_run("digits", "now")
    for shown in (tab.shown, *others):
        expect(shown.locator("tr[data-run=now] .status.running")).to_be_visible()
    # Whoever closes the first tab does not silence the others.
    tab.shown.goto("about:blank")
    run.finish()
    for other in others:
        expect(other.locator("tr[data-run=now] .status.finished")).to_be_visible()


def test_a_page_goes_on_when_its_server_is_started_again_and_its_link_opened(
    folder: Path, browser: Any
) -> None:
    from playwright.sync_api import expect

    tracker.start_run("digits", "first", system_metrics=False).finish()
    with serving() as page:
        port = page.server.port
        context = browser.new_context()
        shown = context.new_page()
        shown.goto(page.link())
        expect(shown.locator(".live")).to_have_text("live")
    expect(shown.locator(".live")).to_have_text("offline")
    tracker.start_run("digits", "second", system_metrics=False).finish()
    with serving(port=port) as page:
        expect(shown.locator("p.refused")).to_contain_text("open the link", timeout=30_000)
        context.new_page().goto(page.link())
        expect(shown.locator("tr[data-run=second]")).to_be_visible()
        expect(shown.locator("p.refused")).to_have_count(0)
        context.close()


def test_a_database_that_goes_and_comes_back_is_noticed(tab: Tab, folder: Path) -> None:
    from playwright.sync_api import expect

    tracker.start_run("digits", "first", system_metrics=False).finish()
    tab.open("/")
    expect(tab.find("tr[data-run=first]")).to_be_visible()
    expect(tab.find(".live")).to_have_text("live")
    Path(".tracker").rename("elsewhere")
    expect(tab.find(".empty")).to_contain_text("No runs yet")
    Path("elsewhere").rename(".tracker")
    expect(tab.find("tr[data-run=first]")).to_be_visible()
