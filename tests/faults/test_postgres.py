"""A PostgreSQL server that is frozen, restarted, or takes a privilege away: training goes on, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tracker
from tests.helpers.postgres import Cluster, binary, cluster

pytestmark = [
    pytest.mark.skipif(binary("initdb") is None, reason="PostgreSQL is not installed"),
    pytest.mark.xdist_group("postgres"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def url(server: Cluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("psycopg")
    made = server.create(f"t{abs(hash(request.node.name)) % 10**10}")
    monkeypatch.setenv("TRACKER_DATABASE_URL", made)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.cwd() / "state"))
    return made


def timed(call: Callable[[], Any]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_a_frozen_server_holds_up_no_call_and_loses_nothing(server: Cluster, url: str) -> None:
    """SIGSTOP: the kernel still acknowledges what is sent, so that no time limit of TCP's helps."""
    run = tracker.start_run("x", name="frozen")
    run.log_epoch(0, {"loss": 0.0})
    first = run.save_checkpoint("ckpt/first", lambda to: to.write_text("1"), epoch=0)
    took = []
    with server.frozen():
        for epoch in range(1, 4):
            took.append(timed(lambda epoch=epoch: run.log_epoch(epoch, {"loss": float(epoch)})))
            run.log({"step": 1.0})
        took.append(
            timed(lambda: run.save_checkpoint("ckpt/second", lambda to: to.write_text("2")))
        )
        took.append(timed(lambda: run.log_params({"late": 1})))
        begun = time.monotonic()
        kept = run.checkpoints()
        took.append(time.monotonic() - begun)
        assert first.path.exists()
        assert len(kept) == 2
        ending = timed(run.finish)
    print([round(x, 2) for x in took], ending)
    # 2 and 5 seconds on a machine that has nothing else to do
    assert max(took) < 4
    assert ending < 8
    tracker.start_run("x").finish()
    assert list(tracker.epochs("frozen")["loss"]) == [0.0, 1.0, 2.0, 3.0]
    assert len(tracker.metrics("frozen")) == 3
    assert tracker.runs(where="name = 'frozen'")["status"].tolist() == ["finished"]
