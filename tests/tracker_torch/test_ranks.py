from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import torch_ranks
from tests.helpers.torch_problems import Problem, ask
from tests.helpers.torch_processes import SPAWN


def start(
    folder: Path, epochs: Any, die: int = -1, main: Callable[..., None] = torch_ranks.main
) -> list[Any]:
    """Run two ranks and return what each saw."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = [
        SPAWN.Process(target=main, args=(str(folder), rank, port, epochs, die)) for rank in "01"
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(100)
    assert [rank.exitcode for rank in ranks] == ([0, 0] if die < 0 else [9, 9])
    return [
        json.loads((folder / f"rank{rank}.json").read_text())
        | {"said": (folder / f"rank{rank}.txt").read_text()}
        for rank in (0, 1)
        if die < 0
    ]


@pytest.mark.usefixtures("started_processes_find_us")
def test_rank_0_records_and_all_ranks_stop_restore_and_resume_together(
    folder: Path, wine: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ranks judge rank 0's numbers; a killed training ends as one that was not killed."""
    wine.save("wine.pt")
    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    monkeypatch.chdir(folder / "whole")
    first, second = start(folder / "whole", 30)
    assert (first.pop("recording"), second.pop("recording")) == (True, False)
    assert "early stopping" in first.pop("said") and second.pop("said") == ""
    assert first["random"] != second["random"] or first.pop("random")
    assert {**first, "random": 0} == {**second, "random": 0}
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", len(first["epochs"]))]
    assert ask("SELECT count(*) FROM attempt") == [(1,)]
    monkeypatch.chdir(folder / "killed")
    start(folder / "killed", 30, die=3)
    again, other = start(folder / "killed", 30)
    for mine, was in ((again, first), (other, second)):
        mine = {name: mine[name] for name in was}
        assert mine == {**was, "epochs": was["epochs"][3:]}


@pytest.mark.usefixtures("started_processes_find_us")
def test_a_stop_on_another_rank_ends_all_and_is_kept_with_its_reason(folder: Path) -> None:
    first, second = start(folder, 9, main=torch_ranks.stop_on_rank_1)
    assert first == second == {"epochs": [0, 1], "said": ""}
    assert ask("SELECT status, reason FROM run") == [
        (
            "stopped_early",
            "rank 1 stopped after epoch 1: the loop set stop_training at epoch 1",
        )
    ]


@pytest.mark.usefixtures("started_processes_find_us")
@pytest.mark.parametrize(
    ("group", "runs"),
    [
        ("before", [("0", 2)]),
        ("in", [("0", 2)]),
        # What another rank has recorded is not thrown away.
        ("late", [("0", 2), ("1", 0)]),
        # Processes that know nothing of each other train a run each.
        ("never", [("0", 2), ("1", 2)]),
    ],
)
def test_a_rank_without_a_launcher_leaves_no_empty_run(
    folder: Path, group: str, runs: list[Any]
) -> None:
    seen = start(folder, group, main=torch_ranks.spawned)
    rows = ask("SELECT p.text, r.epochs FROM run r JOIN param p ON p.run_id = r.id ORDER BY p.text")
    assert [(rank.strip('"'), epochs) for rank, epochs in rows] == runs
    assert [rank["recording"] for rank in seen] == [True, group == "never"]
    assert ask("SELECT DISTINCT status FROM run") == [("finished",)]
