"""Hydra: a run for each job, with what its config says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Script
from tests.helpers.integrations import captured, children_of, points, run_named

pytest.importorskip("hydra")
import tracker

APPLICATION = """
import hydra, tracker
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    run = tracker.active_run()
    run.log_epoch(0, {"val_loss": config.net.width / 10})
    if config.fail:
        raise ValueError("no such layer")
    return config.net.width / 10

main()
"""
START = """
import runpy, sys
sys.argv = ["app.py", *{}]
runpy.run_path("app.py", run_name="__main__")
"""
CONFIG = """
fail: false
lr: 0.1
net: {width: 4, name: "net-${lr}", sizes: [1, 2]}
hydra:
  job: {chdir: false, name: digits}
  callbacks:
    tracker: {_target_: tracker_integrations.hydra.TrackerCallback}
"""


@pytest.fixture
def application(folder: Path, script: Script):  # type: ignore[no-untyped-def]
    conf = folder / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(CONFIG)
    (folder / "app.py").write_text(APPLICATION)

    def run(*overrides: str) -> int:
        process = script(START.format(overrides))
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err or "no such layer" in err, err
        return process.returncode

    return run


def test_a_job_is_a_run_with_its_config(application) -> None:  # type: ignore[no-untyped-def]
    assert application("net.width=8") == 0
    row = run_named()
    assert (row["name"], row["status"]) == ("digits-1", "finished")
    assert row["params.lr"] == 0.1
    assert row["params.net.width"] == 8
    assert row["params.net.name"] == "net-0.1"
    assert captured()["hydra"]["overrides"] == ["net.width=8"]
    assert points()["return_value"] == {0: 0.8}
    assert tracker.epochs(row["id"])["val_loss"].tolist() == [0.8]


def test_a_sweep_has_a_run_and_its_jobs_stand_below(application) -> None:  # type: ignore[no-untyped-def]
    assert application("--multirun", "net.width=1,2") == 0
    assert children_of("digits-1") == {"digits-2", "digits-3"}
    widths = {run_named(name)["params.net.width"] for name in ("digits-2", "digits-3")}
    assert widths == {1, 2}
    assert set(tracker.runs()["status"]) == {"finished"}


def test_a_job_that_raises_has_failed(application) -> None:  # type: ignore[no-untyped-def]
    assert application("fail=true") != 0
    row = run_named()
    assert row["status"] == "failed"
    assert row["reason"] == "training raised ValueError"


def test_a_job_in_a_folder_of_its_own_is_recorded_where_the_application_was_started(
    application, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    there = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    assert application("hydra.job.chdir=true") == 0
    assert application("--multirun", "lr=0.1,0.2", "hydra.job.chdir=true", f"hydra.sweep.dir={there}") == 0  # fmt: skip
    runs = tracker.runs()
    assert sorted(runs["epochs"]) == [0, 1, 1, 1]
    assert runs["parent"].notna().sum() == 2
    assert not [*there.rglob("*.db")]


def test_an_interpolation_that_leads_nowhere_costs_no_other_param(application) -> None:  # type: ignore[no-untyped-def]
    assert application("+home=${oc.env:NOT_SET_ANYWHERE}", "+net.depth=${nowhere}", "+seed=???") == 0  # fmt: skip
    row = run_named("digits-1")
    assert row["params.home"] == "${oc.env:NOT_SET_ANYWHERE}"
    assert row["params.net.depth"] == "${nowhere}"
    assert (row["params.net.name"], row["params.lr"]) == ("net-0.1", 0.1)
    assert "params.seed" not in row
