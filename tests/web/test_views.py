"""What people do on the page, in a real browser: filter, select, compare, zoom, replay, check, edit, save."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

import tracker
from tests.helpers import ROOT
from tests.helpers.pages import Page, Tab, opened, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.xdist_group("browser")

STEPS = 20_000
SCRIPT = "<img src=x onerror=alert(1)>"


def record(database: Path) -> None:
    """Record six runs that were stopped, with files and decisions; the first has many steps and odd values."""
    chance = random.Random(0)
    for number in range(6):
        params = {"lr": 10.0**-number, "width": 32 * (number + 1)}
        with tracker.start_run(
            "digits" if number < 4 else "wine", f"run-{number}", params=params, database=database
        ) as run:
            policy = run.add_policy(
                "EarlyStopping",
                monitor="val_loss",
                rules="tracker-1",
                config={"patience": 12, "mode": "min"},
            )
            best, best_epoch = math.inf, 0
            for epoch in range(20):
                value = 0.2 + math.exp(-epoch / 4) + max(0, epoch - 9) / 50 + number / 10
                run.log_epoch(epoch, {"loss": math.exp(-epoch / 3), "val_loss": value})
                if value < best:
                    best, best_epoch = value, epoch
                if epoch in (0, 5, 10):
                    file = database.parent / f"{number}-{epoch:02}.pt"
                    file.write_bytes(bytes([epoch]) * 1000)
                    run.log_checkpoint(file, epoch=epoch, metrics={"val_loss": value})
                verdict = "improved" if best_epoch == epoch else "waited"
                policy.decide(
                    verdict, epoch=epoch, value=value, best=best, best_epoch=best_epoch, wait=epoch - best_epoch,
                    reason=f"val_loss {value:.4g}: {verdict}",
                )  # fmt: skip
            if number == 0:
                for place in range(20):
                    of_machine = {"cpu_percent": 90.0 + place, "gpu0/energy_joules": 3e5 * place}
                    samples = {f"system/{name}": value for name, value in of_machine.items()}
                    run.writer.sampled.log(samples, 15 * place)  # type: ignore[attr-defined]
                for step in range(STEPS):
                    run.log(
                        {"batch_loss": chance.gauss(0, 1) if step != 777 else math.nan}, step=step
                    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Serve one database to the tests that only look."""
    database = tmp_path_factory.mktemp("views") / "runs.db"
    record(database)
    with serving(database) as page:
        yield page


@pytest.fixture
def view(browser: Browser, served: Page) -> Iterator[Tab]:
    """Open a tab on that database."""
    with opened(browser, served) as tab:
        yield tab


def names(tab: Tab) -> list[str]:
    """Return the runs in the table, from top to bottom."""
    return tab.find("tr[data-run]").evaluate_all("rows => rows.map(row => row.dataset.run)")


def expecting() -> Any:
    from playwright.sync_api import expect

    return expect


def test_filter_sort_and_group_are_an_address(view: Tab) -> None:
    expect = expecting()
    shown = view.open("/")
    expect(view.find("tr[data-run]")).to_have_count(6)
    shown.keyboard.press("/")
    shown.keyboard.type("params.l")
    expect(view.find("[role=option]").first).to_have_text("params.lr")
    shown.keyboard.press("Tab")
    shown.keyboard.type("<= 0.1 and experiment = 'digits'")
    shown.keyboard.press("Enter")
    expect(view.find("tr[data-run]")).to_have_count(3)
    view.find("th button", has_text="lr").click()
    expect(view.find("tr[data-run]").first).to_have_attribute("data-run", "run-3")
    assert names(view) == ["run-3", "run-2", "run-1"]
    address = shown.url
    assert "where=" in address and "sort=params.lr" in address
    view.find("th button", has_text="lr").click()
    expect(view.find("tr[data-run]").first).to_have_attribute("data-run", "run-1")
    shown.go_back()
    expect(view.find("tr[data-run]").first).to_have_attribute("data-run", "run-3")
    shown.goto(address)
    expect(view.find("tr[data-run]")).to_have_count(3)
    assert names(view) == ["run-3", "run-2", "run-1"]
    view.open("/")
    view.find("label", has_text="group").locator("select").select_option("experiment")
    expect(view.find("tr.group")).to_have_count(2)
    expect(view.find("tr.group").first).to_contain_text("4 runs")
    expect(view.find("tr.group").first).to_contain_text("best val_loss 0.30208 (run-0)")
    view.picture("runs-grouped")
    view.open("/?group=params.lr")
    # 1.0 in Python is 1 in a browser, and 1e-05 is written otherwise: each header has its count all the same.
    expect(view.find("tr.group .group-sum")).to_have_text([re.compile("^1 run · ")] * 6)


def test_a_filter_that_cannot_be_read_shows_the_place(view: Tab) -> None:
    expect = expecting()
    view.open("/?where=" + quote("val_los < 1"))
    expect(view.find(".filter .problem")).to_contain_text("did you mean val_loss?")
    said = view.find(".filter .problem").inner_text().split("\n")
    assert said[1].index("val_los") == said[2].index("^")
    for width in (1280, 400):
        view.shown.set_viewport_size({"width": width, "height": 900})
        assert view.shown.evaluate("document.documentElement.scrollWidth") <= width
    # The browser reports the refusal itself, and once more where the page asks again.
    view.open("/")
    view.problems.clear()


def test_three_runs_are_selected_by_keyboard_and_compared(view: Tab) -> None:
    expect = expecting()
    shown = view.open("/")
    expect(view.find("tr[data-run]")).to_have_count(6)
    for _ in range(3):
        shown.keyboard.press(" ")
        shown.keyboard.press("j")
    expect(view.find(".selection")).to_contain_text("3 selected")
    view.picture("runs-selected")
    view.find(".selection button", has_text="Compare").click()
    expect(view.find("h1")).to_have_text("Compare 3 runs")
    expect(view.find(".legend li")).to_have_count(3)
    expect(view.find("tr.differs th", has_text="params.lr")).to_be_visible()
    expect(view.find(".strand")).to_have_count(3)
    expect(view.find(".dot")).to_have_count(3)
    dashes = view.find(".legend line").evaluate_all("all => all.map(one => one.outerHTML)")
    assert len(set(dashes)) == 3
    view.picture("compare")
    shown.go_back()
    expect(view.find("tr[data-run]")).to_have_count(6)
    shown.keyboard.press("k")
    shown.keyboard.press("Enter")
    expect(view.find("h1")).to_have_text(re.compile(r"run-\d"))


def drag(tab: Tab, start: float, stop: float) -> None:
    """Zoom into a part of the step metric's plot, given as shares of its width."""
    box = tab.find(".step-chart .u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    mouse = tab.shown.mouse
    mouse.move(box["x"] + start * box["width"], middle)
    mouse.down()
    mouse.move(box["x"] + stop * box["width"], middle, steps=3)
    mouse.up()


def test_a_step_metric_is_zoomed_to_single_points(view: Tab, served: Page) -> None:
    expect = expecting()
    view.open("/runs/run-0")
    chart = view.find(".step-chart")
    expect(chart).to_have_attribute("data-total", str(STEPS))
    assert int(chart.get_attribute("data-drawn") or 0) < STEPS
    chart.scroll_into_view_if_needed()
    total = STEPS
    while total > 40:
        drag(view, 0.4, 0.5)
        expect(chart).not_to_have_attribute("data-total", str(total))
        total = int(chart.get_attribute("data-total") or 0)
    assert chart.get_attribute("data-drawn") == str(total)
    start, stop = map(int, (chart.get_attribute("data-range") or "").split())
    chart.locator("summary").click()
    expect(chart.locator("tbody tr")).to_have_count(total)  # the table is drawn once it is open
    shown = chart.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.innerText))"
    )
    logged = tracker.metrics(
        "run-0", start=start, stop=stop + 1, database=served.server.location.path
    )
    assert [int(step) for step, _ in shown] == logged["step"].tolist()
    assert [float(value) for _, value in shown] == pytest.approx(logged["value"].tolist(), rel=1e-5)
    view.picture("steps-zoomed")
    chart.locator("button", has_text="reset zoom").click()
    expect(chart).to_have_attribute("data-total", str(STEPS))


def test_odd_values_stand_in_the_table_of_a_chart(view: Tab) -> None:
    expect = expecting()
    view.open("/runs/run-0")
    chart = view.find(".step-chart")
    expect(chart).to_have_attribute("data-total", str(STEPS))
    assert "1 not finite" in (chart.locator("[role=img]").get_attribute("aria-label") or "")


def test_the_slider_says_what_the_command_line_says(view: Tab, served: Page, cli: Any) -> None:
    expect = expecting()
    view.open("/replay?runs=run-1")
    slider = view.find("#patience")
    expect(view.find(".outcome")).to_contain_text("would not have stopped")
    slider.fill("3")
    expect(view.find(".outcome")).to_contain_text("stops at")
    path = served.server.location.path
    told = cli(
        "decisions", "replay", "run-1", "--patience", "3", "--format", "json", "--database", path
    )
    (row,) = json.loads(told.stdout)
    sentence = view.find(".outcome").inner_text()
    assert f"stops at {row['stop_epoch']}: saves {row['epochs_saved']} epochs" in sentence
    assert sentence.endswith(f"at {row['best_epoch']}.")
    shown = view.find("section", has_text="Outcomes").locator("tbody td").all_inner_texts()
    assert str(row["stop_epoch"]) in shown and str(row["epochs"]) in shown
    assert "patience=3" in view.shown.url
    view.picture("replay")
    view.open("/replay?runs=run-0,run-1,run-2")
    expect(view.find(".dot.big").first).to_be_visible()


def test_waste_experiments_and_checkpoints_are_pages(view: Tab) -> None:
    expect = expecting()
    view.open("/waste")
    expect(view.find(".bars li")).to_have_count(2)
    view.picture("waste")
    view.open("/experiments")
    view.find(".card a", has_text="digits").click()
    expect(view.find(".lead")).to_contain_text("The best of 4 runs is run-0")
    expect(view.find("tr[data-run]")).to_have_count(4)
    view.picture("experiment")
    view.open("/checkpoints")
    expect(view.find("tbody tr").first).to_be_visible()


def test_a_chart_is_saved_as_a_picture_and_as_numbers(view: Tab, folder: Path) -> None:
    expect = expecting()
    view.open("/compare?runs=run-0,run-1&metric=val_loss")
    expect(view.find(".legend li")).to_have_count(2)
    chart = view.find(".chart").first
    saved = {}
    for kind in ("PNG", "SVG", "CSV"):
        chart.locator(".menu > button").click()
        with view.shown.expect_download() as download:
            chart.locator("[role=menuitem]", has_text=kind).click()
        saved[kind] = folder / download.value.suggested_filename
        download.value.save_as(saved[kind])
    assert saved["PNG"].read_bytes().startswith(b"\x89PNG")
    svg = saved["SVG"].read_text()
    assert svg.startswith("<svg ") and svg.count("<path ") == 2 and "run-1" in svg
    rows = list(csv.reader(saved["CSV"].read_text().splitlines()))
    assert rows[0] == ["epoch", "run-0", "run-1"]
    assert len(rows) == 21 and float(rows[1][1]) == pytest.approx(1.2)


def saved(tab: Tab, chart: Any, kind: str, folder: Path) -> Path:
    """Save a chart, as its menu does; return the file."""
    chart.locator(".menu > button").click()
    with tab.shown.expect_download() as download:
        chart.locator("[role=menuitem]", has_text=kind).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_choice_between_axes_narrows_what_is_drawn_and_saved(view: Tab, folder: Path) -> None:
    expect = expecting()
    view.open("/compare?runs=run-0,run-1,run-2,run-3&metric=val_loss")
    chart = view.find(".chart", has=view.find(".strand"))
    expect(chart.locator(".strand")).to_have_count(4)
    handle = chart.locator(".handle").last
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    mouse, middle = view.shown.mouse, box["x"] + box["width"] / 2
    mouse.move(middle, box["y"] + 0.55 * box["height"])
    mouse.down()
    mouse.move(middle, box["y"] + box["height"], steps=4)
    mouse.up()
    expect(chart.locator(".chart-note")).to_have_text("2 of 4 within")
    rows = list(csv.reader(saved(view, chart, "CSV", folder).read_text().splitlines()))
    assert rows[0] == ["", "params.lr", "params.width", "val_loss"]
    assert {row[0] for row in rows[1:]} == {"run-0", "run-1"}
    svg = saved(view, chart, "SVG", folder).read_text()
    assert svg.startswith("<svg ") and svg.count("<polyline ") == 4 and 'stroke="rgb(' in svg
    assert saved(view, chart, "PNG", folder).read_bytes().startswith(b"\x89PNG")
    chart.locator("button", has_text="choose all").click()
    expect(chart.locator(".strand.out")).to_have_count(0)


def test_steps_have_a_logarithmic_axis(view: Tab) -> None:
    expect = expecting()
    view.open("/runs/run-0")
    chart = view.find(".step-chart")
    expect(chart).to_have_attribute("data-total", str(STEPS))
    chart.locator("button", has_text="log x").click()
    # The step 0 has no logarithm.
    expect(chart).to_have_attribute("data-total", str(STEPS - 1))
    view.picture("steps-log")


ODD_NAMES = (
    "a\x1bb\x01",
    "x" * 23 + "\N{ROCKET}y",
    "=1+1",
    "$(touch /tmp/pwned)",
    "-rf",
    "it's",
    "a,b",
    "100%",
)


def test_the_menu_of_a_chart_is_used_by_keyboard(view: Tab, folder: Path) -> None:
    expect = expecting()
    keyboard = view.open("/runs/run-0").keyboard
    # Charts come as their answers do: the first of the page is first only once it is there.
    opener = view.find(".chart", has_text="val_loss, loss").locator(".menu > button")
    opener.focus()
    keyboard.press("Enter")
    expect(view.find("[role=menuitem]", has_text="PNG")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(view.find("[role=menuitem]", has_text="CSV")).to_be_focused()
    with view.shown.expect_download() as download:
        keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".csv")
    opener.focus()
    keyboard.press("Enter")
    keyboard.press("Escape")
    expect(view.find("[role=menuitem]")).to_have_count(0)
    expect(opener).to_be_focused()


def test_names_of_any_kind_are_compared_saved_and_copied(tab: Tab, folder: Path) -> None:
    expect = expecting()
    for place, name in enumerate(ODD_NAMES):
        with tracker.start_run("digits", name, params={"lr": place}) as run:
            for epoch in range(3):
                run.log_epoch(
                    epoch, {"loss": math.nan if place == 2 else 1.0 / (place + epoch + 1)}
                )
    ids = tracker.runs()["id"].tolist()
    tab.open(f"/compare?runs={','.join(ids)}&metric=loss")
    expect(tab.find(".legend li")).to_have_count(len(ODD_NAMES))
    for chart in (tab.find(".chart").first, tab.find(".chart", has=tab.find(".strand"))):
        assert saved(tab, chart, "PNG", folder).read_bytes().startswith(b"\x89PNG")
        ElementTree.fromstring(saved(tab, chart, "SVG", folder).read_text())
        assert "'=1+1" in saved(tab, chart, "CSV", folder).read_text()
    tab.shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    given = [name for name in ODD_NAMES if "," not in name and "\x1b" not in name]
    tab.open("/replay?patience=2&runs=" + quote(",".join(given)))
    expect(tab.find(".outcome")).to_have_count(len(given))
    tab.find("button", has_text="copy command").click()
    expect(tab.find("button", has_text="copied")).to_be_visible()
    command = tab.shown.evaluate("navigator.clipboard.readText()")
    words = ["tracker", "decisions", "replay", "--patience", "2", "--", *given]
    assert shlex.split(command) == words
    assert "'$(touch /tmp/pwned)'" in command


LINKED_NAMES = (
    "a,b",
    "a&b=c",
    "a#b",
    "a@2",
    "a/b",
    'it\'s "q"',
    "100%",
    "\N{ROCKET} ?",
    "..",
    "same",
    "same",
)
LINKS = {
    "/": "tr[data-run] a.run-name", "/waste": "td a:not(.quiet)", "/checkpoints": "td a", "/replay?runs={}": "td a",
    "/compare?runs={}&metric=loss": "th a", "/experiments?name=a%2Fb%20%26%20c": ".lead a",
}  # fmt: skip


def test_every_link_leads_to_the_run_that_it_names(tab: Tab, folder: Path) -> None:
    """Two have one name, and what a name holds means something in an address, or to `find_run`."""
    expect = expecting()
    for place, name in enumerate(LINKED_NAMES):
        with tracker.start_run("a/b & c", name, params={"lr": place}, system_metrics=False) as run:
            policy = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 1})
            for epoch, loss in enumerate((2.0 - place / 100, 3.0)):
                run.log_epoch(epoch, {"loss": loss})
                policy.decide("improved", epoch=epoch, value=loss, reason="so")
            file = Path(f"{place}.pt")
            file.write_bytes(b"1")
            run.log_checkpoint(file, epoch=0, metrics={"loss": loss})
    ids = {row["id"]: row["name"] for row in tab.page.rows("/runs")}
    for path, selector in LINKS.items():
        tab.open(path.format(",".join(ids)))
        expect(tab.find(selector).first).to_be_visible()
        found = tab.find(selector).evaluate_all(
            "all => all.map(one => [one.pathname, one.innerText])"
        )
        known = {
            address.removeprefix("/runs/"): text.partition("@" + address[6:14])[0]
            for address, text in found
        }
        assert {run: name for run, name in ids.items() if run in known} == known, path
        assert len(known) == (1 if path.startswith("/experiments") else len(ids)), path
    for name in ("a,b", "a/b"):
        tab.open("/waste")
        tab.find("tr", has=tab.find("a", has_text=name)).locator("a", has_text="replay").click()
        expect(tab.find(".outcome")).to_have_count(1)
        expect(tab.find(".outcome")).to_contain_text(name)
        tab.find("td a", has_text=name).click()
        expect(tab.find("h1")).to_have_text(name)
    tab.open("/")
    tab.find("tr", has_text="a,b").locator(".tick input").check()
    tab.find("tr", has_text="a@2").locator(".tick input").check()
    tab.find(".selection button", has_text="Compare").click()
    expect(tab.find(".legend li")).to_have_count(2)


def test_of_nested_values_what_differs_is_shown(tab: Tab) -> None:
    for name, units in (("a", 8), ("b", 16)):
        layers = [{"units": units, "activation": "relu"}, {"units": 4}]
        tracker.start_run("digits", name, params={"layers": layers}, system_metrics=False).finish()
    tab.open("/compare?runs=a,b")
    row = tab.find("tr.differs", has_text="params.layers").locator("td")
    expecting()(row).to_have_text(["0.units=8", "0.units=16"])


def test_every_drawing_has_its_table(view: Tab) -> None:
    expect = expecting()
    view.open("/compare?runs=run-0,run-1,run-2&metric=val_loss")
    for chart, head in (
        (".strand", ["", "lr", "width", "val_loss"]),
        (".dot", ["", "lr", "val_loss"]),
    ):
        figure = view.find(".chart", has=view.find(chart))
        figure.locator("summary").click()
        expect(figure.locator("tbody tr")).to_have_count(3)
        assert figure.locator("thead th").all_inner_texts() == head
        name, lr, *_ = figure.locator("tbody tr").nth(1).locator("th, td").all_inner_texts()
        assert (name, lr) == ("run-1", "0.1")


def test_what_the_machine_did_is_folded_away_below_the_run(tab: Tab) -> None:
    expect = expecting()
    with tracker.start_run("digits", "watts", price_per_hour=0.36) as run:
        run.log({"batch_loss": 1.0}, step=0)
        for place in range(20):
            found = {
                "cpu_percent": 150.0, "memory_bytes": 1.5e9 + place, "disk_read_bytes_per_second": 2e6,
                "disk_written_bytes_per_second": 1e3, "gpu0/power_watts": 250.0, "gpu1/power_watts": 200.0,
                "gpu0/energy_joules": 3600.0 * place, "gpu1/energy_joules": 1800.0 * place,
            }  # fmt: skip
            samples = {f"system/{name}": value for name, value in found.items()}
            run.writer.sampled.log(samples, 15 * place)  # type: ignore[attr-defined]
    tab.open(f"/runs/{run.id}")
    expect(tab.find(".energy")).to_have_text("28.5 Wh")
    cost = tab.find(".cost").inner_text().removeprefix("cost ")
    assert 0 < float(cost) < 0.01, "a run of less than a cent is not for nothing"
    expect(tab.find(".step-chart")).to_have_count(1)
    expect(tab.find(".system summary").first).to_have_text(
        "CPU 150 % on average · memory 1.5 GB at most"
    )
    expect(tab.find(".system .chart")).to_have_count(0)
    tab.find(".system summary").first.click()
    expect(tab.find(".system .chart")).to_have_count(5)
    disk = tab.find(".system .chart", has_text="Disk")
    expect(disk.locator(".legend li")).to_have_text(["read2 MB/s", "written1 kB/s"])
    disk.locator("summary").click()
    expect(disk.locator("tbody tr").nth(5)).to_have_text("1:152 MB/s1 kB/s")
    tab.shown.reload()
    expect(tab.find(".system .chart", has_text="GPU power").locator(".legend li")).to_have_count(2)
    tab.picture("system")


@pytest.mark.parametrize(
    ("path", "said"),
    [("/runs/%E0%A4%A", "There is no such page"), ("/?offset=500", "There are only 6 runs"), ("/?offset=x", "6 runs")],
)  # fmt: skip
def test_an_address_that_a_hand_has_changed_still_says_something(
    view: Tab, path: str, said: str
) -> None:
    view.open(path)
    expecting()(view.find("main")).to_contain_text(said)


@pytest.mark.parametrize(
    ("path", "said", "there"),
    [("/?offset=-5", "offset is “-5”", "tr[data-run]"), ("/?cols=nothing", "cols is “nothing”", "td a.run-name"),
     ("/runs/run-0?metric=x", "metric is “x”", ".plot"), ("/compare?runs=run-0,run-1&metric=x&x=y", "x is “y”",
      ".legend li"),
     ("/replay?runs=run-1&patience=abc", "patience is “abc”", ".outcome"),
     ("/replay?runs=run-1&min_delta=1e999&rules=mine", "rules is “mine”", ".outcome"),
     ("/replay?runs=run-1&policy=Stopper&patience=1.5", "policy is “Stopper”", ".outcome")],
)  # fmt: skip
def test_what_an_address_cannot_mean_is_left_out_and_said(
    view: Tab, path: str, said: str, there: str
) -> None:
    expect = expecting()
    shown = view.open(path)
    expect(view.find(".mistyped")).to_contain_text(said)
    expect(view.find(there).first).to_be_visible()
    assert "NaN" not in view.find("main").inner_text()
    view.find("button", has_text="Correct the address").click()
    expect(view.find(".mistyped")).to_have_count(0)
    expect(view.find(there).first).to_be_visible()
    assert said.partition(" ")[0] + "=" not in shown.url.replace("runs=", "")


@pytest.mark.parametrize("path", ["/?sort=nothing", "/?group=nothing"])
def test_an_order_that_does_not_exist_has_a_way_on(view: Tab, path: str) -> None:
    expect = expecting()
    view.open(path)
    expect(view.find("[role=alert]")).to_contain_text("There is no field 'nothing'")
    view.find("button", has_text="In the usual order").click()
    expect(view.find("tr[data-run]")).to_have_count(6)
    view.problems.clear()


@pytest.mark.parametrize("path", ["/nothing", "/experiments/digits", "/runs/nothing", "/runs/no/thing"])  # fmt: skip
def test_an_address_of_nothing_says_so_and_leads_to_all_runs(view: Tab, path: str) -> None:
    expect = expecting()
    view.open(path)
    expect(view.find("main")).to_contain_text("There is no ")
    view.find("main a", has_text="All runs").click()
    expect(view.find("tr[data-run]")).to_have_count(6)
    view.problems.clear()


def test_an_experiment_that_does_not_exist_is_said(view: Tab) -> None:
    expect = expecting()
    view.open("/experiments?name=nothing")
    expect(view.find("main")).to_contain_text("There is no experiment “nothing”")


def test_a_run_is_found_by_a_name_with_slashes(tab: Tab, folder: Path) -> None:
    expect = expecting()
    for name in ("a/b", "a/b/epochs", "100%2F"):
        with tracker.start_run("digits", name, system_metrics=False) as run:
            run.log_epoch(0, {"loss": 1.0})
        tab.open(f"/runs/{quote(name, safe='')}")
        expect(tab.find("h1")).to_have_text(name)
        expect(tab.find(".plot").first).to_be_visible()
        assert len(tab.page.rows(f"/runs/{quote(name, safe='')}/epochs")) == 1


def test_a_changed_file_is_found(tab: Tab, folder: Path) -> None:
    expect = expecting()
    for name in ("a", "b"):
        Path(f"{name}.pt").write_bytes(name.encode() * 10)
        with tracker.start_run("digits", name) as run:
            run.log_epoch(0, {"loss": 1.0})
            run.log_checkpoint(f"{name}.pt", epoch=0, metrics={"loss": 1.0})
    Path("b.pt").write_bytes(b"c" * 10)
    tab.open("/checkpoints")
    tab.find("button", has_text="Verify").click()
    expect(tab.find(".verified")).to_have_text(
        "1 of 2 files is not as it was saved: b.pt is modified."
    )
    expect(tab.find(".status.modified")).to_have_count(1)
    tab.find("tr", has_text="a.pt").locator("button", has_text="pin").click()
    expect(tab.find("tr", has_text="a.pt").locator("[aria-pressed=true]")).to_be_visible()
    assert tracker.checkpoints("a")["pinned"].tolist() == [True]
    tab.picture("checkpoints")


def test_notes_and_tags_are_changed_in_place_and_runs_deleted(tab: Tab, folder: Path) -> None:
    expect = expecting()
    for name in ("a", "b"):
        Path(f"{name}.pt").write_bytes(name.encode() * 1500)
        with tracker.start_run("digits", name, tags={"old": ""}) as run:
            run.log_checkpoint(f"{name}.pt")
    tab.open("/runs/a")
    tab.find("button.note").click()
    tab.shown.keyboard.type("with <b>cleaned</b> labels")
    tab.shown.keyboard.press("Control+Enter")
    expect(tab.find("button.note")).to_have_text("with <b>cleaned</b> labels")
    tab.open("/")
    tab.find("tr[data-run=a] .act button").click()
    box = tab.find("dialog textarea").nth(1)
    expect(box).to_have_value("old")
    box.fill("team=vision\nkeep")
    tab.find("dialog button", has_text="Save").click()
    expect(tab.find("dialog")).to_have_count(0)
    row = tracker.runs().set_index("name").loc["a"]
    assert (row["note"], row["tags.team"], row["tags.keep"]) == (
        "with <b>cleaned</b> labels",
        "vision",
        "",
    )
    assert row["tags.old"] is None or row["tags.old"] != row["tags.old"]
    tab.find("tr[data-run=b] .tick input").check()
    tab.find(".selection button", has_text="Delete").click()
    tab.find("dialog input[type=checkbox]").check()
    tab.find("dialog button", has_text="Delete and free 1.5 kB").click()
    expect(tab.find("tr[data-run]")).to_have_count(1)
    assert not Path("b.pt").exists() and Path("a.pt").exists()


def test_markup_in_names_is_shown_as_text(tab: Tab, folder: Path) -> None:
    expect = expecting()
    file = Path(f"{SCRIPT}.pt")
    file.write_bytes(b"1")
    with tracker.start_run(SCRIPT, SCRIPT, params={SCRIPT: SCRIPT}, tags={SCRIPT: SCRIPT}) as run:
        policy = run.add_policy(SCRIPT, monitor=SCRIPT)
        for epoch in range(3):
            run.log_epoch(epoch, {SCRIPT: 1.0})
            run.log({f"{SCRIPT}2": 1.0}, step=epoch)
            policy.decide("waited", epoch=epoch, reason=SCRIPT, wait=1)
        run.log_checkpoint(file, epoch=0)
    tracker.start_run("other", "other", params={SCRIPT: 1}).finish()
    tab.page.send("PATCH", f"/runs/{run.id}", {"note": SCRIPT})
    named, compared = f"/experiments?name={quote(SCRIPT)}", f"/compare?runs={run.id},other"
    alone = ("/", "/waste", "/checkpoints", "/experiments", f"/?where={quote(SCRIPT)}")
    for path in (*alone, f"/runs/{run.id}", f"/replay?runs={run.id}", named, compared):
        tab.open(path)
        tab.shown.wait_for_load_state("load")
        expect(tab.find("main")).to_contain_text(re.compile("img src|other|waste", re.IGNORECASE))
        tab.shown.wait_for_timeout(300)
        assert tab.find("main img[src=x]").count() == 0
    refusals = [said for said in tab.problems if "400" not in said and "404" not in said]
    assert refusals == []
    tab.problems.clear()


def test_the_keyboard_has_a_list_of_its_own(view: Tab) -> None:
    expect = expecting()
    shown = view.open("/")
    expect(view.find("tr[data-run]")).to_have_count(6)
    shown.keyboard.press("?")
    expect(view.find("dialog")).to_contain_text("next and previous run")
    shown.keyboard.press("Escape")
    expect(view.find("dialog")).to_have_count(0)
    shown.keyboard.press("g")
    shown.keyboard.press("w")
    expect(view.find("h1")).to_have_text("Waste")
    before = shown.evaluate("getComputedStyle(document.body).color")
    shown.keyboard.press("t")
    assert shown.evaluate("getComputedStyle(document.body).color") != before


VIEWS = {
    "runs": "/", "grouped": "/?group=experiment", "run": "/runs/run-0", "system": "/runs/run-0?system=1",
    "compare": "/compare?runs=run-0,run-1",
    "replay": "/replay?runs=run-1&patience=3", "waste": "/waste", "checkpoints": "/checkpoints",
    "experiments": "/experiments", "experiment": "/experiments?name=digits",
}  # fmt: skip
AXE = (ROOT / "tests" / "web" / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"


SIZES: list[tuple[Any, int, bool]] = [
    ("light", 1280, True), ("dark", 1280, False), ("light", 400, False), ("dark", 400, True),
]  # fmt: skip
"""Theme, width, and whether axe looks: each theme and each width once."""


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_accessible_and_fits(browser: Browser, served: Page, name: str) -> None:
    expect = expecting()
    # axe is put into the page by the test, which the page's own policy forbids.
    with opened(browser, served, bypass_csp=True) as tab:
        tab.shown.add_init_script(AXE)
        tab.open(VIEWS[name])
        expect(tab.find("main table, main .card").first).to_be_visible()
        for theme, width, looked_at in SIZES:
            tab.shown.emulate_media(color_scheme=theme)
            tab.shown.set_viewport_size({"width": width, "height": 900})
            tab.shown.wait_for_timeout(150)
            tab.picture(f"{name}-{theme}-{width}")
            assert tab.shown.evaluate("document.documentElement.scrollWidth") <= width, (
                theme,
                width,
            )
            if looked_at:
                found = tab.shown.evaluate(RULES)["violations"]
                told = [
                    (one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found
                ]
                assert told == [], (theme, width)


PAINTED = """([selector, name]) => {
  const canvas = document.querySelector(selector);
  if (!canvas) return false;
  const colour = getComputedStyle(document.documentElement).getPropertyValue(name);
  const wanted = [1, 3, 5].map((at) => parseInt(colour.trim().slice(at, at + 2), 16));
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < data.length; at += 4) if (wanted.every((part, place) => data[at + place] === part)) return true;
  return false;
}"""


def test_a_line_is_drawn_in_the_colours_of_the_theme_and_of_paper(view: Tab) -> None:
    shown = view.open("/runs/run-0")
    for turn in (
        lambda: None,
        lambda: shown.keyboard.press("t"),
        lambda: shown.keyboard.press("t"),
        lambda: shown.emulate_media(color_scheme="dark"),
        lambda: shown.emulate_media(color_scheme="dark", media="print"),
    ):
        turn()
        shown.wait_for_function(PAINTED, arg=[".plot canvas", "--line-1"])
    ink = shown.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(0, 0, 0)", "dark letters on paper, whatever the screen"
    # The browser has advice for whoever reads pixels twice, which only this test does.
    view.problems.clear()


def test_paper_gets_the_content_only(view: Tab) -> None:
    expect = expecting()
    view.open("/runs/run-0")
    expect(view.find(".plot canvas").first).to_be_visible()
    view.shown.emulate_media(media="print")
    expect(view.find(".top")).to_be_hidden()
    expect(view.find(".lead")).to_be_visible()


def test_the_cookie_is_out_of_reach_of_scripts(view: Tab) -> None:
    view.open("/")
    assert view.shown.evaluate("document.cookie") == ""
    (cookie,) = view.shown.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert "token" not in view.shown.url


def test_hundreds_of_metrics_leave_their_charts_in_sight(tab: Tab) -> None:
    expect = expecting()
    with tracker.start_run("many", "hundreds") as run:
        run.log_epoch(0, {f"m{number:03}/val_loss": 1.0 for number in range(300)})
    tab.open(f"/runs/{run.id}")
    expect(tab.find(".tabs button")).to_have_count(300)
    box = tab.find(".tabs").bounding_box()
    assert box is not None and box["height"] < 200


def test_the_table_of_runs_has_the_address_of_runs(view: Tab) -> None:
    view.open("/runs")
    expecting()(view.find("tr[data-run]")).to_have_count(6)


WRITTEN = """
const plain = CanvasRenderingContext2D.prototype.fillText;
globalThis.written = [];
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  globalThis.written.push(text);
  return plain.call(this, text, ...rest);
};
"""


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1.5e9, 2.5e9], {"1.4G", "2G", "2.6G"}),
        ([0.99991, 0.99995], {"0.99991", "0.99992", "0.99995"}),
        ([1e35, 5e35], {"2e+35", "4e+35"}),
        ([3e-15, 5e-15], {"3e-15", "4e-15", "5e-15"}),
        ([0.0, 0.0], {"-1", "0", "1"}),
    ],
)
def test_an_axis_of_any_size_has_labels_that_differ(
    tab: Tab, values: list[float], labels: set[str]
) -> None:
    with tracker.start_run("digits", system_metrics=False) as run:
        for epoch, value in enumerate(values):
            run.log_epoch(epoch, {"loss": value})
    tab.shown.add_init_script(WRITTEN)
    tab.open(f"/runs/{run.id}")
    expecting()(tab.find(".plot canvas")).to_be_visible()
    tab.shown.wait_for_function(
        "wanted => wanted.every((label) => written.includes(label))", arg=sorted(labels)
    )


def test_a_step_deep_in_a_run_is_told_from_its_neighbours(tab: Tab) -> None:
    with tracker.start_run("digits", system_metrics=False) as run:
        for step in range(1_234_560, 1_234_570):
            run.log({"batch_loss": 1.0}, step=step)
    tab.shown.add_init_script(WRITTEN)
    tab.open(f"/runs/{run.id}")
    tab.shown.wait_for_function(
        "() => ['1.234562M', '1.234564M'].every((label) => written.includes(label))"
    )


def test_one_point_has_an_axis_of_its_own_size(tab: Tab) -> None:
    with tracker.start_run("digits", system_metrics=False) as run:
        run.log_epoch(0, {"loss": 1.0})
    tab.shown.add_init_script(WRITTEN)
    tab.open(f"/runs/{run.id}")
    tab.shown.wait_for_function("() => written.includes('epoch')")
    assert not {"100", "50", "5"} & set(tab.shown.evaluate("written"))


def test_what_is_never_finite_is_still_drawn(tab: Tab) -> None:
    with tracker.start_run("digits", system_metrics=False) as run:
        for step in range(20):
            run.log({"batch_loss": math.nan}, step=step)
    shown = tab.open(f"/runs/{run.id}")
    shown.wait_for_function(PAINTED, arg=[".step-chart .plot canvas", "--line-1"])
    expecting()(tab.find("button", has_text="log y")).to_be_disabled()
    tab.problems.clear()


def test_hundreds_of_step_metrics_are_asked_for_as_they_come_into_sight(tab: Tab) -> None:
    expect = expecting()
    with tracker.start_run("many", system_metrics=False) as run:
        for step in range(2):
            run.log({f"m{number:03}": 1.0 for number in range(300)}, step=step)
    asked: list[str] = []
    tab.shown.on("request", lambda request: "/series?" in request.url and asked.append(request.url))
    tab.open(f"/runs/{run.id}")
    expect(tab.find(".step-chart")).to_have_count(300)
    expect(tab.find(".step-chart").first).to_have_attribute("data-total", "2")
    last = tab.find(".step-chart").last
    last.scroll_into_view_if_needed()
    expect(last).to_have_attribute("data-total", "2")
    assert len(asked) < 100


def test_a_long_name_leaves_the_other_columns_in_sight(tab: Tab) -> None:
    tracker.start_run("digits", "x" * 250, system_metrics=False).finish()
    tab.open("/")
    link = tab.find("a.run-name")
    expecting()(link).to_have_attribute("title", "x" * 250)
    box = tab.find("td.col-epochs").bounding_box()
    assert box is not None and box["x"] + box["width"] < 1280
