"""How the store talks to Postgres: few connections, and no wait without an end, whatever server or network do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL

from trunkline.store.sessions import CHANNEL

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
LOCK_SECONDS = 5
IDLE_SECONDS = 60
ANSWER_SECONDS = STATEMENT_SECONDS + 5.0
"""How long an answer may take before the connection counts as dead: more than the server gives any statement."""
POOL_SIZE = 2
MOST_CONNECTIONS = 6
POOL_PATIENCE = 5.0
LISTEN_SECONDS = 0.5
PING_EVERY = 10.0
LISTEN_AGAIN = 1.0

log = logging.getLogger(__name__)

_SETTINGS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
    "client_min_messages": "warning",
}

# A peer that vanished without a word is noticed within half a minute.
_LIFELINE = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

T = TypeVar("T")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that gives up a server, or a network, that does not answer.

    The server's own time-outs help only while it lives and is reached.

    Attributes:
        answer_seconds: how long it waits for each answer.
    """

    answer_seconds = ANSWER_SECONDS

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Run one exchange of messages, but not for ever.

        Raises:
            psycopg.OperationalError: no answer came in time; the connection is closed.
        """
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        deadline = time.monotonic() + self.answer_seconds
        try:
            ready = yield next(gen)
            while True:
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer came within {self.answer_seconds:g} s")
                ready = yield gen.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value


def connect(url: URL, kind: type[psycopg.Connection[Any]] = PatientConnection) -> psycopg.Connection[Any]:
    """Connect, with time-outs on both ends. What the URL says of them comes first.

    Raises:
        psycopg.OperationalError: the server does not answer, or refuses.
    """
    asked = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    said = asked.pop("options", "")
    settings = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    words = {"host": url.host, "user": url.username, "password": url.password, "dbname": url.database, **asked}
    numbers = {"port": url.port, "connect_timeout": CONNECT_SECONDS} | _LIFELINE
    known = {name: value for name, value in words.items() if value is not None}
    known |= {name: str(value) for name, value in numbers.items() if value is not None and name not in asked}
    known |= {"options": f"{settings} {said}".strip(), "application_name": known.get("application_name", "trunkline")}
    return kind.connect(make_conninfo("", **known))


def make_engine(url: URL) -> Engine:
    """Return an engine that connects when it is first used, and again whenever its connections were lost."""
    engine = create_engine(
        url,
        creator=lambda: connect(url),
        paramstyle="format",
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=MOST_CONNECTIONS - POOL_SIZE,
        pool_timeout=POOL_PATIENCE,
    )
    # A server that was restarted has ended all connections at once, not only the one that noticed.
    event.listen(engine, "handle_error", _forget_all)
    return engine


def _forget_all(context: Any) -> None:
    context.invalidate_pool_on_disconnect = True


class Listener:
    """Hears, over a connection of its own, what other processes changed; connects again for as long as it is wanted."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def run(self, heard: Callable[[str | None], None], stopping: threading.Event) -> None:
        """Call `heard` with each topic; empty once it listens, None when it does not any more."""
        while not stopping.is_set():
            try:
                self._listen(heard, stopping)
            except psycopg.Error as fault:
                log.info("the store tells no news at the moment; it is asked now and then: %s", fault)
            heard(None)
            stopping.wait(LISTEN_AGAIN)

    def _listen(self, heard: Callable[[str | None], None], stopping: threading.Event) -> None:
        with connect(self._url) as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            heard("")
            asked = time.monotonic()
            while not stopping.is_set():
                for news in connection.notifies(timeout=LISTEN_SECONDS):
                    heard(news.payload)
                if time.monotonic() - asked > PING_EVERY:  # Or a server that vanished would never be missed.
                    connection.execute("SELECT 1")
                    asked = time.monotonic()
