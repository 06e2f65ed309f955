"""Dead processes are called dead, living ones never."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tracker.clock import now
from tracker.process import SILENT_SECONDS, is_alive, me

FRESH, SILENT = 0.0, SILENT_SECONDS + 1


def attempt(age: float = FRESH, **changed: Any) -> SimpleNamespace:
    """This process's attempt, last heard of ``age`` seconds ago, with some columns changed."""
    heard = now() - int(age * 1e6)
    return SimpleNamespace(**{**me().as_dict(), "heartbeat": heard, **changed})


def test_this_process_lives_however_long_it_was_silent() -> None:
    assert is_alive(attempt(age=1e6))


def test_a_process_that_has_ended_is_dead_at_once() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not is_alive(attempt(pid=child.pid))


def test_a_pid_used_again_is_another_process() -> None:
    assert not is_alive(attempt(process_started=me().process_started - 10))


SLEEPS = """
import time; from tracker.process import me
print(me().process_started, flush=True); time.sleep(600)
"""


def test_a_killed_process_that_nobody_has_waited_for_is_dead(script: Any) -> None:
    child = script(SLEEPS)
    started = float(child.stdout.readline())
    assert is_alive(attempt(pid=child.pid, process_started=started))
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert not is_alive(attempt(pid=child.pid, process_started=started))


def test_a_name_with_spaces_and_parentheses_hides_nothing(script: Any) -> None:
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) S (b c', 0, 0, 0)\n"
    child = script(rename + SLEEPS)
    assert is_alive(attempt(pid=child.pid, process_started=float(child.stdout.readline())))


def test_setting_the_clock_does_not_kill_anybody() -> None:
    """The start time is the kernel's, in seconds since boot; it was once computed from the time of day."""
    assert 0 <= me().process_started <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_after_a_restart_of_the_machine_its_runs_are_dead() -> None:
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert not is_alive(attempt(boot_id="before", age=uptime + 1))


def test_a_machine_of_the_same_name_that_is_heard_of_lives() -> None:
    assert is_alive(attempt(boot_id="another machine"))
    assert not is_alive(attempt(boot_id="another machine", age=SILENT))


@pytest.mark.parametrize(
    "place", [{"host": "elsewhere", "boot_id": "x"}, {"pid_namespace": "pid:[1]"}]
)
def test_elsewhere_the_heartbeat_decides(place: dict[str, str]) -> None:
    assert is_alive(attempt(**place, pid=2**22 + 1))
    assert not is_alive(attempt(**place, age=SILENT))


def test_the_clock_that_has_stamped_what_was_heard_is_the_one_that_is_asked() -> None:
    """A machine's own may be hours off: the heartbeat is in the past, or still to come."""
    wrong = now() - int(7200e6)
    elsewhere = {"host": "elsewhere", "boot_id": "x"}
    assert is_alive(attempt(SILENT, **elsewhere, heard=wrong), lambda: wrong + 1)
    silent = wrong + int(SILENT * 1e6)
    assert not is_alive(attempt(FRESH, **elsewhere, heard=wrong), lambda: silent)


def test_a_laptop_that_changed_its_name_still_knows_its_processes() -> None:
    assert is_alive(attempt(host="old-name.local", age=SILENT))
    assert not is_alive(attempt(host="old-name.local", pid=2**22 + 1))


@pytest.mark.parametrize("pid", [-1, 0, 2**31 - 1, 2**70])
def test_a_pid_that_cannot_be_is_dead(pid: int) -> None:
    assert not is_alive(attempt(pid=pid))
