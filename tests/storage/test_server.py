"""Connections to PostgreSQL whose every wait ends."""

from __future__ import annotations

import gc
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.helpers.postgres import Cluster, binary, cluster

pytestmark = [
    pytest.mark.skipif(binary("initdb") is None, reason="PostgreSQL is not installed"),
    pytest.mark.xdist_group("postgres"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    pytest.importorskip("psycopg")
    with cluster() as made:
        yield made


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_psycopg_was_about_to_do_is_given_up_without_noise(server: Cluster) -> None:
    """As its pipelines do, which send once more when they end: Python wrote on stderr that they could not."""
    from psycopg.generators import execute

    from tracker.storage.server import NoAnswer, connect

    connection = connect(5.0, server.create("noise").replace("+psycopg", ""))
    ended = []

    def steps() -> Generator[Any, Any, None]:
        try:
            connection.pgconn.send_query(b"SELECT pg_sleep(30)")
            yield from execute(connection.pgconn)
        finally:
            ended.append(True)
            connection.pgconn.send_query(b"SELECT 1")

    connection.deadline = time.monotonic() + 0.3
    with suppress(NoAnswer):
        connection.wait(steps())
    assert connection.closed
    gc.collect()
    assert ended == [True]


def test_a_statement_that_takes_its_time_is_waited_for_as_long_as_the_server_is_at_work_on_it(
    server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracker.storage.server import NoAnswer, connect

    monkeypatch.setattr("tracker.storage.server._ASK_SECONDS", 0.5)
    connection = connect(None, server.create("large").replace("+psycopg", ""))
    connection.longest = 0.2
    assert connection.execute("SELECT 42 FROM pg_sleep(1)").fetchone() == (42,)
    with server.frozen(), pytest.raises(NoAnswer):
        connection.execute("SELECT 42")
    assert connection.closed
