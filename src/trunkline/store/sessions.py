from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Executable, PoolProxiedConnection, Table, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trunkline import errors

CHANNEL = "trunkline"
"""Where processes tell each other through Postgres what they changed."""

MOST_TRIES = 4

T = TypeVar("T")


class Overtaken(Exception):
    """Another transaction has changed what this one goes by; never leaves the store."""


class Sessions:
    """Short transactions on one engine: reading ones, and writing ones that wait for each other at their beginning.

    Raises (from both):
        errors.Unavailable: the database cannot be reached, is locked for too long, or takes nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._glancing = threading.Lock()
        self._kept: PoolProxiedConnection | None = None
        self._writing = engine.execution_options(writing=True)
        self._still = engine.execution_options(isolation_level="REPEATABLE READ") if self.shared else engine

    @property
    def shared(self) -> bool:
        """Whether exchanges with data folders of their own may work on the same store."""
        return self.engine.dialect.name == "postgresql"

    def tell(self, connection: Connection, topic: str) -> None:
        """Tell all processes, once the transaction is kept, that something of a topic changed."""
        if self.shared:
            connection.execute(select(func.pg_notify(CHANNEL, topic)))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept as a whole, or not at all."""
        with _translated(), self._writing.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T]) -> T:
        """Return what work in a writing transaction does; it begins anew where others overtook it."""
        for _ in range(MOST_TRIES - 1):
            with suppress(IntegrityError, Overtaken), self.writing() as connection:
                return work(connection)
        with self.writing() as connection:
            return work(connection)

    @contextmanager
    def snapshot(self, *, patient: bool = False) -> Iterator[Connection]:
        """A transaction whose every statement sees the same state, and may take however long if `patient`."""
        if not self.shared:
            with self.reading() as connection:
                yield connection
            return
        with _translated(), self._still.begin() as connection:
            if patient:
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                with waiting_for_ever(connection):
                    yield connection
            else:
                yield connection

    def rows(self, statement: Executable) -> Sequence[Any]:
        """Return what one statement selects."""
        with self.reading() as connection:
            return connection.execute(statement).all()

    def glance(self, statement: str) -> int:
        """Return the one number that a statement selects, 0 where there is none; for looks that come all the time.

        On SQLite it costs microseconds: over a connection of its own, without a transaction around it.
        """
        if self.engine.dialect.name != "sqlite":
            with self.reading() as connection:
                return int(connection.exec_driver_sql(statement).scalar() or 0)
        with _translated(), self._glancing:
            if self._kept is None:
                self._kept = self.engine.raw_connection()
            cursor = self._kept.cursor()
            cursor.execute(statement)
            found = cursor.fetchall()
            return int(found[0][0]) if found else 0

    def close(self) -> None:
        """Close every connection."""
        with self._glancing:
            if self._kept is not None:
                self._kept.invalidate()
                self._kept = None
        self.engine.dispose()


def upsert(engine: Engine, table: Table) -> Any:
    """Return an INSERT that knows ON CONFLICT, in the engine's dialect."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def alone(connection: Connection, work: str) -> None:
    """Until the transaction ends, nobody else does the same work. In SQLite who writes is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (work,))


def together(connection: Connection, work: str) -> None:
    """Until the transaction ends, nobody does the same work alone."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))", (work,))


@contextmanager
def waiting_for_ever(connection: Connection) -> Iterator[None]:
    """Have a connection to Postgres wait for its answers however long they take. SQLite has no such limit."""
    patient: Any = connection.connection.driver_connection
    if connection.dialect.name != "postgresql":
        yield
        return
    before, patient.answer_seconds = patient.answer_seconds, math.inf
    try:
        yield
    finally:
        patient.answer_seconds = before


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, sqlite3.OperationalError) as fault:
        message = "the store cannot be used at the moment: try again in a few seconds"
        raise errors.Unavailable(message, inside=f"{message}: {fault}", retry_after=5) from fault
