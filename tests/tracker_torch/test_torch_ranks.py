from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch_problems import Problem, ask

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def start(epochs: int, die: int = -1) -> list[Any]:
    """Run two ranks and return what each saw."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": "2",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "adapters", HERE))),
    }
    command = [sys.executable, str(HERE / "torch_ranks.py"), str(epochs), str(die)]
    ranks = [
        subprocess.Popen(command, env={**shared, "RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    said = [rank.communicate(timeout=100)[0] for rank in ranks]
    if die >= 0:
        return []
    assert [rank.returncode for rank in ranks] == [0, 0]
    return [
        json.loads(Path(f"rank{rank}.json").read_text()) | {"said": said[rank]} for rank in (0, 1)
    ]


def test_rank_0_records_and_all_ranks_stop_restore_and_resume_together(
    folder: Path, wine: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ranks judge rank 0's numbers; a killed training ends as one that was not killed."""
    wine.save("wine.pt")
    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    monkeypatch.chdir(folder / "whole")
    first, second = start(30)
    assert (first.pop("recording"), second.pop("recording")) == (True, False)
    assert "early stopping" in first.pop("said") and second.pop("said") == ""
    assert first["random"] != second["random"] or first.pop("random")
    assert {**first, "random": 0} == {**second, "random": 0}
    assert ask("SELECT status, epochs FROM run") == [("stopped_early", len(first["epochs"]))]
    assert ask("SELECT count(*) FROM attempt") == [(1,)]
    monkeypatch.chdir(folder / "killed")
    start(30, die=3)
    again, other = start(30)
    for mine, was in ((again, first), (other, second)):
        mine = {name: mine[name] for name in was}
        assert mine == {**was, "epochs": was["epochs"][3:]}
