"""``tracker runs watch`` reads what is new, however long the run is."""

from __future__ import annotations

import signal
from typing import Any

import pytest

import tracker
from tracker.queries.follow import steps_per_second
from tracker.queries.new_epochs import NewEpoch, new_epochs
from tracker.storage.database import reading


def recorded_after(run: tracker.Run, last: Any) -> list[tuple[int, int, dict[str, float]]]:
    with reading() as reader:
        return [(one.attempt, one.epoch, one.metrics) for one in new_epochs(reader, run.id, last)]


def test_only_epochs_that_follow_the_last_one_are_read() -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": float(epoch), "acc": 0.5})
        with reading() as reader:
            first, *_, last = new_epochs(reader, run.id)
        assert recorded_after(run, last) == []
        assert [epoch for _, epoch, _ in recorded_after(run, first)] == [1, 2]
        run.log_epoch(3, {"loss": float("inf")})
        ((_, epoch, metrics),) = recorded_after(run, last)
    assert (epoch, metrics) == (3, {"loss": float("inf")})


def test_epochs_that_a_later_attempt_repeats_are_new() -> None:
    with tracker.start_run("digits", "a") as run:
        for epoch in range(3):
            run.log_epoch(epoch, {"loss": 1.0})
    with reading() as reader:
        last = new_epochs(reader, run.id)[-1]
    with tracker.start_run(resume=run.id) as again:
        again.rewind(1)
        again.log_epoch(1, {"loss": 0.5})
    assert [(epoch, metrics) for _, epoch, metrics in recorded_after(run, last)] == [
        (1, {"loss": 0.5})
    ]


def test_an_epoch_without_metrics_is_there() -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {})
    assert [metrics for _, _, metrics in recorded_after(run, None)] == [{}]


@pytest.mark.parametrize("every", ["0.05"])
def test_an_ended_run_is_printed_once(cli: Any, every: str) -> None:
    with tracker.start_run("digits", "a") as run:
        run.log_epoch(0, {"loss": 0.25}, seconds=2.0)
    said = cli("runs", "watch", "--every", every).stdout.splitlines()
    assert said == ["epoch    0       2 s  loss 0.25  best", "Finished after 1 epoch."]


LIVE = """
import time, tracker
with tracker.start_run("digits", "live", {"epochs": 10}, monitor="loss") as run:
    stopping = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 5})
    for epoch, loss in enumerate((0.5, 0.25, 0.75)):
        run.log_epoch(epoch, {"loss": loss}, seconds=2.0)
        stopping.decide("waited", epoch=epoch, reason="r", wait=max(0, epoch - 1), best=0.25)
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_run_that_is_recorded_is_told_with_best_waits_and_eta_until_ctrl_c(script: Any) -> None:
    live = script(LIVE)
    assert live.stdout.readline() == "ready\n"
    code = "from tracker.cli import main; main(['runs', 'watch', '--every', '0.1'])"
    watching = script(code)
    lines = [watching.stdout.readline() for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    said, complaint = watching.communicate(timeout=60)
    assert lines[1].rstrip() == "epoch    1       2 s  loss 0.25  best"
    assert (
        lines[2].rstrip() == "epoch    2       2 s  loss 0.75  wait 1/5 (better: < 0.25)  ETA 14 s"
    )
    assert said.startswith("\nRunning: 3 epochs so far, since ")
    assert (watching.returncode, complaint) == (0, "")


def test_steps_per_second_are_those_between_two_epochs() -> None:
    first, second = NewEpoch(1, 1, 0, 2.0, step=100), NewEpoch(2, 1, 1, 4.0, step=300)
    assert (steps_per_second(None, first), steps_per_second(first, second)) == (50.0, 50.0)
    assert steps_per_second(None, second) is None
    assert steps_per_second(first, NewEpoch(3, 2, 1, 4.0, step=300)) is None


def test_several_runs_are_lines_with_their_names(cli: Any) -> None:
    for name in ("a", "b"):
        with tracker.start_run("digits", name) as run:
            plateau = run.add_policy("ReduceLROnPlateau", monitor="loss", config={})
            run.log_epoch(0, {"loss": 0.25}, seconds=2.0)
            plateau.decide("reduced", epoch=0, reason="Too high.", lr_before=1.0, lr_after=0.1)
    assert cli("runs", "watch", "a", "b", "--every", "0.05").stdout.splitlines() == [
        "a  epoch    0       2 s  loss 0.25  best",
        "a  reduced at epoch 0: Too high (ReduceLROnPlateau)",
        "b  epoch    0       2 s  loss 0.25  best",
        "b  reduced at epoch 0: Too high (ReduceLROnPlateau)",
        "a: Finished after 1 epoch.",
        "b: Finished after 1 epoch.",
    ]


def test_all_that_are_recorded_now_are_watched(cli: Any, script: Any) -> None:
    assert cli("runs", "watch", "--running").stderr == "No run is being recorded now.\n"
    live = script(LIVE)
    assert live.stdout.readline() == "ready\n"
    watching = script("from tracker.cli import main; main(['runs', 'watch', '--running'])")
    assert watching.stdout.readline().startswith("epoch    0 ")
    live.kill()
    said, complaint = watching.communicate(timeout=60)
    assert said.splitlines()[-1].startswith("Lost after 3 epochs: ")
    assert (watching.returncode, complaint) == (0, "")
    refused = cli("runs", "watch", "live", "--running")
    assert (refused.exit_code, "--running" in refused.stderr) == (2, True)


def test_on_a_terminal_the_state_is_drawn_and_removed_at_the_end(terminal: Any) -> None:
    with tracker.start_run("digits", "a", {"epochs": 10}) as run:
        stopping = run.add_policy("EarlyStopping", monitor="loss", config={"patience": 5})
        run.log_epoch(0, {"loss": 0.25}, seconds=2.0)
        stopping.decide("improved", epoch=0, reason="first value", best=0.25, wait=0)
    said = terminal(100, "runs", "watch", "a")
    state = [
        "1/10 epochs",
        "loss  best 0.25 @ 0",
        "wait 0/5 (better: < 0.25)",
        "improved at epoch 0: first",
    ]
    for words in ("epoch    0       2 s  loss 0.25  best", *state):
        assert words in said, words
    # Each of its lines is erased before the last sentence.
    assert said.endswith("\x1b[2KFinished after 1 epoch.\n")


def test_on_a_terminal_several_runs_are_a_table(terminal: Any) -> None:
    for name in ("a", "b"):
        with tracker.start_run("digits", name) as run:
            run.log_epoch(0, {"loss": 0.25}, seconds=2.0)
    said = terminal(100, "runs", "watch", "a", "b")
    assert "epochs" in said
    # Best and last of each; rich draws it once more before it removes it.
    assert said.count("0.25 @ 0") == 2 * 4
