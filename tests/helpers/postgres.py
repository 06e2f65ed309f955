"""A PostgreSQL cluster of its own on loopback, which a test may freeze, kill and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def binary(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs; None where it is not installed."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(places[0]) if places else shutil.which(name)


class Cluster:
    """A running cluster; ``url`` names no database.

    It runs as another user where root runs the tests, which PostgreSQL refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._user: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        )
        if self._user:
            shutil.chown(folder, **self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.folder = folder
        self._data = folder / "data"
        self._frozen: list[int] = []
        self.url = f"postgresql://tester@127.0.0.1:{self._port}"
        self._run("initdb", "-U", "tester", "-A", "trust", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(binary(program)), "-D", str(self._data), *arguments]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd=self.folder, **quiet, **self._user)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self._port} -k {self.folder} -F"
        self._run("pg_ctl", "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """End it as a crash does: connections break off, nothing is written."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def ensure(self) -> None:
        """Start it where it has ended by itself."""
        if not self._answers():
            with suppress(subprocess.CalledProcessError):
                self.stop()
            self.start()

    def _answers(self) -> bool:
        import psycopg

        for _ in range(20):
            with suppress(psycopg.Error):
                psycopg.connect(f"{self.url}/postgres", connect_timeout=1).close()
                return True
            time.sleep(0.25)
        return False

    def create(self, name: str) -> str:
        """Make a database; returns its URL."""
        import psycopg

        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.url}/{name}"

    def freeze(self) -> None:
        """Stop every process of it: sockets stay open, and nothing is answered."""
        self._frozen = [self._postmaster(), *_children(self._postmaster())]
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze it for a ``with`` block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


@contextmanager
def cluster(parent: Path | None = None) -> Iterator[Cluster]:
    """Make a cluster, in a folder of its own, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tracker-pg-", dir=parent))
    try:
        made = Cluster(folder)
        try:
            yield made
        finally:
            made.thaw()
            with suppress(subprocess.CalledProcessError):
                made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
