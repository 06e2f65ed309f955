"""``tracker ui`` as people start it: a link at once, a page behind it, an end by Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

import tracker
from tests.helpers import ROOT
from tracker.web import server


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command in the test's folder."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tracker", "ui", "--no-open", "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def link_in(line: str) -> str:
    """Return the link that a line names."""
    (link,) = re.findall(r"http://\S+", line)
    return link


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """Return the processor time of a process after its first line."""
    assert process.stdout is not None
    process.stdout.readline()
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


@contextmanager
def importing() -> Iterator[subprocess.Popen[str]]:
    """Start a process that only imports what every page of this kind needs."""
    program = "import fastapi, sqlalchemy, sys, uvicorn; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.communicate()


def test_the_link_comes_at_once_and_shows_the_page(folder: Path) -> None:
    tracker.start_run("digits", "a").finish()
    with started() as process, importing() as bare:
        assert processor_seconds(process) < 2 * processor_seconds(bare)
    with started("--read-only") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith(str(folder / ".tracker" / "tracker.db"))
        with httpx.Client(base_url=link_in(first).partition("?")[0], timeout=20) as client:
            assert "local-tracker" in client.get(link_in(first), follow_redirects=True).text
            assert [row[1] for row in client.get("/api/v1/runs").json()["rows"]] == ["a"]
            assert client.get("/api/v1/info").json()["read_only"] is True
            process.stdout.readline()
            another = process.stdout.readline()
            assert another.startswith("Opened. Another browser: ")
            assert httpx.get(link_in(another)).status_code == 303
            with client.stream("GET", "/api/v1/events") as events:
                next(events.iter_lines())
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                assert process.wait(10) in (0, 1, 130)
        assert time.monotonic() - begun < 5
        assert process.stderr is not None and "Traceback" not in process.stderr.read()


def test_without_the_extra_it_says_what_to_install(folder: Path) -> None:
    code = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'uvicorn' else found(name, *more)\n"
        "from tracker.cli import main\n"
        "main(['ui', '--no-open', '--port', '0'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "Error: The page needs uvicorn: pip install 'local-tracker[ui]'.\n"


def test_a_port_that_is_taken_is_passed_over_unless_it_was_named(folder: Path) -> None:
    first, second = server.listen(), server.listen()
    try:
        assert first.port != second.port
        assert abs(second.port - first.port) < 50
        with pytest.raises(tracker.StoreError, match=f"Port {first.port}.*--port"):
            server.listen(port=first.port)
    finally:
        first.listening.close()
        second.listening.close()


@pytest.mark.parametrize("host", ["nowhere.invalid", "203.0.113.7"])
def test_an_address_that_is_not_ours_is_refused(folder: Path, host: str) -> None:
    with pytest.raises(tracker.TrackerError, match=re.escape(host)):
        server.listen(host=host, port=0)


def test_no_browser_opens_where_there_is_no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert server.open_browser("http://127.0.0.1/") is False
