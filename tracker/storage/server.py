"""Connections to PostgreSQL whose every wait ends: a server that is frozen keeps its sockets open, and says nothing.

Neither libpq nor psycopg bounds that: ``tcp_user_timeout`` counts what the other kernel acknowledges, and a
stopped server's does. So each wait of a connection is ours, and has a deadline.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from typing import Any, TypeVar

import psycopg

from tracker.worker import Unfinished, within

T = TypeVar("T")

_READ, _WRITE = 1, 2  # psycopg.waiting.Wait and Ready
_LOOK_SECONDS = 1.0
"""How often a wait without a deadline looks whether it was interrupted."""
_ASK_SECONDS = 5.0
"""Another connection may take so long to say what the server does for this one."""
_BROKEN = POLLERR | POLLHUP
_AT_WORK = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND state = 'active'"


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether psycopg's log tells more than that a pipeline of ours ended with its connection: we say that."""
    return not any(
        isinstance(getattr(one, "_conn", None), BoundedConnection) for one in record.args or ()
    )


logging.getLogger("psycopg").addFilter(_is_news)


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""

    sqlstate = "08006"  # connection_failure


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when its deadline passes while it waits.

    Attributes:
        deadline: by `time.monotonic`; None: it waits for as long as the server takes.
        longest: seconds after which another connection is asked whether the server is at work on the answer, and
            again after so many; None: it is not asked.
        again: makes another connection to the same server.
    """

    deadline: float | None = None
    longest: float | None = None
    again: Callable[[], BoundedConnection] | None = None

    def wait(self, gen: Generator[Any, Any, T], *_: Any, **__: Any) -> T:
        """Take what psycopg does step by step, as its own `wait`, but not beyond the deadline."""
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self._ready(wanted))
        except StopIteration as end:
            result: T = end.value
            return result
        except (KeyboardInterrupt, NoAnswer):
            # What the server does with the statement is unknown from here on.
            self.pgconn.finish()
            raise
        finally:
            # Where psycopg stood it would go on to send; Python would write on stderr that it cannot.
            with suppress(Exception):
                gen.close()

    def _ready(self, wanted: int) -> int:
        """Wait until the socket can be read or written, as wanted; says which."""
        waiting = poll()
        events = (POLLIN if wanted & _READ else 0) | (POLLOUT if wanted & _WRITE else 0)
        waiting.register(self.pgconn.socket, events)
        give_up = self.deadline
        if give_up is None and self.longest is not None:
            give_up = time.monotonic() + self.longest
        while True:
            left = _LOOK_SECONDS if give_up is None else give_up - time.monotonic()
            if left <= 0:
                if self.deadline is not None or self.longest is None or not self._is_served():
                    raise NoAnswer("the server did not answer in time")
                give_up = time.monotonic() + self.longest
            for _, event in waiting.poll(min(left, _LOOK_SECONDS) * 1000):
                if event & _BROKEN:
                    # Reading, or writing, says what is wrong.
                    return wanted
                return (_READ if event & POLLIN else 0) | (_WRITE if event & POLLOUT else 0)

    def _is_served(self) -> bool:
        """Say whether the server is at work for this connection: a large statement takes its time."""
        if self.again is None:
            return False
        try:
            with self.again() as other:
                at_work = other.execute(_AT_WORK, [self.info.backend_pid]).fetchone()
        except psycopg.Error:
            return False
        return at_work is not None


def connect(seconds: float | None, *where: Any, **options: Any) -> BoundedConnection:
    """Connect by a thread of its own, which alone waits for names, sockets and passwords; None: by this one.

    Raises:
        NoAnswer: it takes longer than ``seconds``.
    """
    if seconds is None:
        connection = BoundedConnection.connect(*where, **options)
        connection.again = lambda: connect(_ASK_SECONDS, *where, **options)
        return connection
    give_up = time.monotonic() + seconds

    def work() -> BoundedConnection:
        connection = BoundedConnection.connect(*where, **options)
        if time.monotonic() > give_up:
            connection.close()
        connection.deadline = give_up
        return connection

    try:
        return within(seconds, work)
    except Unfinished:
        raise NoAnswer("the server did not answer in time") from None
