"""A page that is left open for long: ``python -m tests.web.left_open UPDATES``; a day has some ten thousand.

A run that is being recorded is shown, changes UPDATES times, and each change is waited for on the page. Printed, ten
times on the way: how much memory the page's scripts hold, how many nodes and listeners the page has, and what one
change takes. 2 000 changes take about a quarter of an hour. It ends with 1 where the page has grown.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tracker
from tests.helpers.pages import Tab, opened, serving

POINTS = 5000
"""Of the step metric when the page opens: more than are drawn, so that more of them draw no more."""
MOST_NODES, MOST_HEAP = 1.1, 1.25
"""How much larger the page may be at the end than after the first changes."""


@dataclass(frozen=True)
class Size:
    """How large the page is after so many changes; ``seconds``: the median of what the latest ones took."""

    changes: int
    nodes: float
    listeners: float
    heap: float
    seconds: float

    def has_grown_from(self, before: Size) -> bool:
        """Whether the page holds more than it did; how long a change takes is the machine's."""
        return (
            self.nodes > before.nodes * MOST_NODES
            or self.listeners > before.listeners * MOST_NODES
            or self.heap > before.heap * MOST_HEAP
        )


def followed(tab: Tab, changes: int, looks: int) -> Iterator[Size]:
    """Record a run while its page is open; yield the page's size after some first changes, and ``looks`` times more."""
    from playwright.sync_api import expect

    with tracker.start_run("digits", "long", system_metrics=False) as run:
        for epoch in range(30):
            run.log_epoch(epoch, {"loss": 1 / (epoch + 1)})
        for step in range(POINTS):
            run.log({"batch_loss": float(step % 7)}, step=step)
        tab.open(f"/runs/{run.id}")
        expect(tab.find(".step-chart")).to_have_attribute("data-total", str(POINTS))
        measured = metering(tab)
        done, times = 0, []
        for look in range(looks + 1):
            for _ in range(max(1, changes // looks)):
                started = time.monotonic()
                run.log({"batch_loss": float(done % 7)}, step=POINTS + done)
                done += 1
                tab.page.send("PATCH", f"/runs/{run.id}", {"note": f"note {done}"})
                expect(tab.find("button.note")).to_have_text(f"note {done}")
                expect(tab.find(".step-chart")).to_have_attribute("data-total", str(POINTS + done))
                times.append(time.monotonic() - started)
            values = measured()
            yield Size(
                done,
                values["Nodes"],
                values["JSEventListeners"],
                values["JSHeapUsedSize"],
                statistics.median(times),
            )
            times = []
            if look == looks:
                return


def metering(tab: Tab) -> Any:
    """Return what measures the page, after it has let go of all that it can."""
    devtools = tab.shown.context.new_cdp_session(tab.shown)
    devtools.send("Performance.enable")

    def measured() -> dict[str, float]:
        devtools.send("HeapProfiler.collectGarbage")
        values = devtools.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in values}

    return measured


def main() -> int:
    """Follow a run for as many changes as asked for; return 1 where its page has grown."""
    from playwright.sync_api import sync_playwright

    changes = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    sizes: list[Size] = []
    print(f"{'changes':>8} {'nodes':>7} {'listeners':>10} {'heap, MB':>9} {'ms a change':>12}")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        os.chdir(folder)
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with serving() as page, opened(browser, page) as tab:
            for size in followed(tab, changes, 10):
                sizes.append(size)
                print(
                    f"{size.changes:8} {size.nodes:7.0f} {size.listeners:10.0f} {size.heap / 1e6:9.2f} "
                    f"{size.seconds * 1e3:12.0f}",
                    flush=True,
                )
        browser.close()
        os.chdir("/")
    return int(sizes[-1].has_grown_from(sizes[0]))


if __name__ == "__main__":
    sys.exit(main())
