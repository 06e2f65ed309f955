"""What the machine does is measured beside a run: rarely, under names of its own, and in nobody's way."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import tracker
from tracker.errors import BadValue
from tracker.recording import gpus, process_tree, recorder, sampled, system_metrics
from tracker.recording.process_tree import usage
from tracker.recording.system_metrics import SystemSampler, sampler_of
from tracker.storage.database import Database
from tracker.storage.location import locate
from tracker.storage.step_summaries import rebuild_all, runs_with_wrong_step_summaries
from tracker.variables import SYSTEM

ALWAYS = {
    "system/cpu_percent", "system/memory_bytes", "system/memory_percent", "system/disk_free_bytes",
}  # fmt: skip


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure whenever the writer looks, however short a run is, and at its end."""
    monkeypatch.setattr(sampled, "_BEGIN_AFTER", 0.0)
    monkeypatch.setattr(system_metrics, "_SHORTEST_SPAN", 0.0)
    monkeypatch.setattr(system_metrics, "LARGEST_SHARE", math.inf)
    monkeypatch.delenv(SYSTEM, raising=False)


def measured_run(**arguments: Any) -> tracker.Run:
    """Record two epochs, with a measurement before them and one at the end."""
    with tracker.start_run(**arguments) as run:
        run.writer.sampled.look()  # type: ignore[attr-defined]
        first = run.first_epoch
        run.log_epoch(first, {"val_loss": 0.5})
        run.log_epoch(first + 1, {"val_loss": 0.7})
    return run


def test_a_run_is_measured_and_judged_by_its_own_metrics_all_the_same() -> None:
    run = measured_run()
    assert tracker.metrics(run).empty
    found = tracker.metrics(run, system=True)
    assert set(found["name"]) >= ALWAYS
    assert (found["step"] >= 0).all()
    assert tracker.metrics(run, names="system/memory_bytes")["value"].iloc[0] > 1e6
    (row,) = tracker.runs().to_dict("records")
    assert (row["monitor"], row["best_epoch"]) == ("val_loss", 0)
    assert not [name for name in row if name.startswith("system/")]


def test_a_run_of_short_epochs_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.05)
    monkeypatch.setenv(SYSTEM, "0.05")
    with tracker.start_run() as run:
        for epoch in range(100):
            run.log_epoch(epoch, {"val_loss": 0.5})
            time.sleep(0.005)
    assert tracker.metrics(run, names="system/memory_percent").shape[0] > 1


def test_a_run_without_metrics_has_no_best_by_the_machine() -> None:
    with tracker.start_run() as run:
        run.writer.sampled.look()  # type: ignore[attr-defined]
    assert not tracker.metrics(run, system=True).empty
    (row,) = tracker.runs().to_dict("records")
    assert pd.isna(row["monitor"])


def test_the_samples_of_an_attempt_stay_when_the_run_is_resumed() -> None:
    first = measured_run(name="r")
    before = tracker.metrics(first, names="system/cpu_percent")
    again = measured_run(resume="r")
    after = tracker.metrics("r", names="system/cpu_percent", superseded=True)
    assert after["attempt"].tolist() == [1] * len(before) + [2] * len(before)
    assert not after["superseded"].any()
    assert again.first_epoch == 2


def test_steps_of_log_count_on_as_if_nobody_measured() -> None:
    with tracker.start_run(name="r") as run:
        run.log({"loss": 1.0})
        run.writer.sampled._began -= 1_000_000_000  # type: ignore[attr-defined]
        run.writer.sampled.look()  # type: ignore[attr-defined]
        run.log({"loss": 1.0})
    assert tracker.metrics("r", names="system/cpu_percent")["step"].min() >= 1000
    with tracker.start_run(resume="r") as run:
        run.log({"loss": 1.0})
    assert tracker.metrics("r")["step"].tolist() == [0, 1, 2]


def test_nothing_is_measured_where_it_is_switched_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tracker.metrics(measured_run(system_metrics=False), system=True).empty
    monkeypatch.setenv("TRACKER_SYSTEM", "off")
    assert tracker.metrics(measured_run(), system=True).empty
    assert not tracker.metrics(measured_run(system_metrics=True), system=True).empty
    monkeypatch.setenv("TRACKER_SYSTEM", "5")
    sampler = sampler_of(tmp_path, None)
    assert sampler is not None
    assert sampler._every == 5


def test_a_run_of_a_second_has_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_metrics, "_SHORTEST_SPAN", 10.0)
    assert tracker.metrics(measured_run(), system=True).empty


def test_the_doctor_agrees_and_makes_no_summary_of_the_machine(sql: Any) -> None:
    run = measured_run()
    with Database(locate()).transaction() as connection:
        assert runs_with_wrong_step_summaries(connection) == set()
        rebuild_all(connection)
    assert sql("SELECT name FROM summary WHERE name LIKE 'system/%'") == []
    assert len(sql("SELECT name FROM series WHERE run_id = ?", run.id)) >= len(ALWAYS)


def test_what_cost_much_is_done_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_metrics, "LARGEST_SHARE", 1e-9)
    sampler = SystemSampler(None, every=0)
    sampler.begin()
    assert not sampler.is_due


def test_children_count_also_after_they_have_ended() -> None:
    import subprocess

    before = usage().cpu_seconds
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert usage().cpu_seconds - before > 0.01


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists the children of a thread")
def test_children_of_every_thread_and_theirs_are_found() -> None:
    import subprocess
    from threading import Thread

    import psutil

    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(0, flush=True); input()'])"
    begun: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        # Until its own child says so, and while the thread that started it lives.
        assert begun[-1].stdout is not None
        begun[-1].stdout.readline()
        found.append(set(process_tree._descendants(psutil.Process().pid)))

    found: list[set[int]] = []
    begin()
    thread = Thread(target=begin)
    thread.start()
    thread.join()
    expected = {child.pid for child in psutil.Process().children(recursive=True)}
    for process in begun:
        process.communicate(b"\n")
    assert len(expected) >= 4
    assert found[-1] == expected


def nvml(**more: Any) -> SimpleNamespace:
    """Stand in for the library of a machine with two cards, of which the second has no energy counter."""

    class NVMLError(Exception):
        pass

    def energy(card: int) -> int:
        if card:
            raise NVMLError("Not Supported")
        nvml.joules += 2000
        return nvml.joules

    nvml.joules = 5_000_000  # type: ignore[attr-defined]
    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetUUID=lambda card: f"GPU-{card}abc",
        nvmlDeviceGetUtilizationRates=lambda card: SimpleNamespace(gpu=80 + card),
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(used=1 << 30),
        nvmlDeviceGetPowerUsage=lambda card: 250_500,
        nvmlDeviceGetTemperature=lambda card, sensor: 60,
        nvmlDeviceGetTotalEnergyConsumption=energy,
        NVML_TEMPERATURE_GPU=0,
        **more,
    )


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    monkeypatch.setitem(sys.modules, "pynvml", nvml(__spec__=object()))  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_cards")
def test_each_card_says_what_it_can_in_plain_units() -> None:
    sampler = SystemSampler(None)
    sampler.begin()
    found = sampler.sample()
    assert found["system/gpu0/utilization_percent"] == 80
    assert found["system/gpu0/memory_bytes"] == 1 << 30
    assert found["system/gpu1/power_watts"] == 250.5
    assert found["system/gpu0/energy_joules"] == 2.0
    assert sampler.sample()["system/gpu0/energy_joules"] == 4.0
    assert "system/gpu1/energy_joules" not in found
    assert sampler.unread == {}


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize("visible", ["1", "GPU-1a"])
def test_cards_that_are_left_to_others_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (cards,) = gpus.find_cards({})
    assert set(cards.read()) == {"1"}


def test_a_card_that_cannot_be_asked_is_told_in_captured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sql: Any
) -> None:
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setitem(gpus._DRIVERS, "nvidia", driver)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    measured_run()
    ((captured,),) = sql("SELECT captured FROM attempt")
    assert "nvidia-ml-py" in json.loads(captured)["system"]["unread"]["gpu_nvidia"]


@pytest.mark.parametrize("price", [-1, math.inf, math.nan, "much"])
def test_a_price_is_a_number(price: Any) -> None:
    with pytest.raises(BadValue, match="price_per_hour"):
        tracker.start_run(price_per_hour=price)


def test_a_price_is_kept_unless_a_resumed_run_has_another(sql: Any) -> None:
    measured_run(name="r", price_per_hour=2)
    measured_run(resume="r")
    assert sql("SELECT price_per_hour FROM run") == [(2.0,)]
    measured_run(resume="r", price_per_hour=3.5)
    assert sql("SELECT price_per_hour FROM run") == [(3.5,)]
