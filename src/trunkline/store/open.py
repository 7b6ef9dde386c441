from __future__ import annotations

import os
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from trunkline import __version__, errors
from trunkline.config.environment import Environment, kind_of_reference, resolve
from trunkline.store.alert_table import AlertTable
from trunkline.store.changes import Changes, Looking
from trunkline.store.claim_table import ClaimTable
from trunkline.store.dialogue_table import DialogueTable
from trunkline.store.errand_table import ErrandTable
from trunkline.store.key_table import KeyTable
from trunkline.store.lease_table import LeaseTable
from trunkline.store.ledger import Ledger
from trunkline.store.place import is_here
from trunkline.store.schema import HEAD, about, metadata
from trunkline.store.sessions import Sessions, upsert, waiting_for_ever
from trunkline.store.slot_table import SlotTable
from trunkline.store.turn_table import TurnTable
from trunkline.store.verify_leases import LEASE_CHECKS
from trunkline.store.window_table import WindowTable

BUSY_MILLIS = 5_000
NEEDS_ALEMBIC = "trunkline.store.upgrade"
NEEDS_PSYCOPG = "trunkline.store.postgres"
REFERENCES = frozenset({"env", "file"})
MIGRATION_LOCK = 7_017_001_986
"""Held by who makes or upgrades the tables of a Postgres database, so that many exchanges may start at once."""

# WAL lets other processes read while the exchange writes. FULL, because a journal is deleted once it is booked: a
# commit that a loss of power could take back would take the money with it. Batches are few; no call waits for them.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA busy_timeout = {BUSY_MILLIS}",
)


class Store(
    Ledger, KeyTable, ClaimTable, LeaseTable, WindowTable, SlotTable, AlertTable, TurnTable, DialogueTable, ErrandTable
):
    """All that an exchange keeps in one database: ledger, keys, claims, budgets, limits, webhooks, conversations.

    Safe to use from several threads; each method is one transaction.

    Raises (from every method):
        errors.Unavailable: the database is away, locked for too long, or takes nothing.
    """

    def __init__(self, sessions: Sessions) -> None:
        Ledger.__init__(self, sessions)
        KeyTable.__init__(self, sessions)
        ClaimTable.__init__(self, sessions)
        LeaseTable.__init__(self, sessions)
        WindowTable.__init__(self, sessions)
        SlotTable.__init__(self, sessions)
        AlertTable.__init__(self, sessions)
        TurnTable.__init__(self, sessions)
        DialogueTable.__init__(self, sessions)
        ErrandTable.__init__(self, sessions)
        self.checks += LEASE_CHECKS

    @property
    def shared(self) -> bool:
        """Whether exchanges with data folders of their own may work on the same store."""
        return self._sessions.shared

    @property
    def here(self) -> bool:
        """Whether the database is on this machine, as far as its URL proves it."""
        return is_here(self._sessions.engine.url, os.environ)

    def pepper(self, own: bytes) -> bytes:
        """Return the secret under which the keys here are digested, given the data folder's own.

        Exchanges that share a store share its keys: the first of them gives the store its pepper.
        """
        if not self.shared:
            return own
        if not (found := self._sessions.rows(_PEPPER)):
            with self._sessions.writing() as connection:
                first = upsert(self._sessions.engine, about).values(name="pepper", value=own.hex())
                connection.execute(first.on_conflict_do_nothing())
            found = self._sessions.rows(_PEPPER)
        return bytes.fromhex(found[0][0])

    def changes(self) -> Changes:
        """Return what tells of changes by other processes; `begin` it before waiting."""
        if not self.shared:
            return Changes(Looking(partial(self._sessions.glance, "PRAGMA data_version")))
        return Changes(import_module(NEEDS_PSYCOPG).Listener(self._sessions.engine.url))

    def tell_others(self, topic: str, message: str) -> None:
        """Tell a message, of 7,000 bytes at most, to all processes that listen at the moment; on SQLite to none."""
        if self.shared:
            with self._sessions.writing() as connection:
                self._sessions.tell(connection, f"{topic} {message}")

    def close(self) -> None:
        """Close every connection."""
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_PEPPER = select(about.c.value).where(about.c.name == "pepper")


def open_store(place: str | Path) -> Store:
    """Open the store at a path (SQLite) or a URL (`sqlite:///...`, `postgresql://...`); make or upgrade its tables.

    A URL, or the password in it, may be a reference: `env:NAME` or `file:PATH`.

    Raises:
        errors.DataFolderUnusable: it cannot be read or written, or a newer version of Trunkline wrote it.
        errors.Unstartable: the URL makes no sense, its driver is not installed, or the database does not answer.
    """
    url = store_url(place)
    engine = _engine(url)
    sessions = Sessions(engine)
    try:
        _bring_up_to_date(sessions)
    except (SQLAlchemyError, errors.Unavailable) as fault:
        engine.dispose()
        raise _unusable(url, fault) from fault
    except BaseException:
        engine.dispose()
        raise
    return Store(sessions)


def store_url(place: str | Path) -> URL:
    """Return the URL of a store, with what it refers to filled in.

    Raises:
        errors.DataFolderUnusable: a path cannot be written.
        errors.Unstartable: it makes no sense, or what it refers to is not there. Never says a password.
    """
    if isinstance(place, Path):
        return _file_url(place)
    around = Environment(Path.cwd(), os.environ)
    found = _resolved(place, around) if kind_of_reference(place) in REFERENCES else place
    if "://" not in found:
        return _file_url(Path(found))
    try:
        url = make_url(found)
    except (SQLAlchemyError, ValueError) as fault:
        message = "the store's URL makes no sense: give postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or a path"
        raise errors.Unstartable(message) from fault
    if isinstance(url.password, str) and kind_of_reference(url.password) in REFERENCES:
        url = url.set(password=_resolved(url.password, around))
    if url.drivername in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+psycopg")
    return url


def _resolved(reference: str, around: Environment) -> str:
    resolved = resolve(reference, around)
    if resolved.value is None:
        raise errors.Unstartable(f"the store's place is not known: {resolved.why}")
    return resolved.value


def _file_url(path: Path) -> URL:
    try:
        path.touch(mode=0o600)
    except OSError as fault:
        message = f"the store {path} cannot be written: {fault.strerror}. Give another folder with --data"
        raise errors.DataFolderUnusable(message) from fault
    return URL.create("sqlite", database=str(path))


def _engine(url: URL) -> Engine:
    name = url.get_backend_name()
    if name not in {"sqlite", "postgresql"}:
        raise errors.Unstartable(f"the store cannot be kept in {name}: choose SQLite or Postgres")
    if name == "postgresql":
        return _postgres(url)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _postgres(url: URL) -> Engine:
    try:
        engine: Engine = import_module(NEEDS_PSYCOPG).make_engine(url)
    except ImportError as fault:
        message = "a store in Postgres needs its driver: pip install 'trunkline[postgres]'"
        raise errors.Unstartable(message) from fault
    return engine


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # The driver would begin transactions by itself, and too late.
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    # A writing transaction takes the write lock at once: one that reads first and then writes could not wait for it.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _bring_up_to_date(sessions: Sessions) -> None:
    with sessions.reading() as connection:
        if _revision(connection) == HEAD:
            return
    with sessions.writing() as connection:
        _one_at_a_time(connection)
        revision = _revision(connection)
        if revision is None:
            metadata.create_all(connection)
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608 - a constant
        elif revision > HEAD:
            raise _newer(connection, revision)
        elif revision < HEAD:
            # Imported only when there is something to upgrade: it would cost every start an eighth of a second.
            with waiting_for_ever(connection):
                import_module(NEEDS_ALEMBIC).upgrade(connection)
        if revision != HEAD:
            connection.execute(about.delete().where(about.c.name == "written_by"))
            connection.execute(about.insert().values(name="written_by", value=__version__))


def _one_at_a_time(connection: Connection) -> None:
    """Wait for who makes or upgrades the tables at the moment. In SQLite a writing transaction is alone anyway."""
    if connection.dialect.name == "postgresql":
        for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {limit} = 0"))
        with waiting_for_ever(connection):
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))


def _revision(connection: Connection) -> str | None:
    """Return the revision of the tables: None for a database without any, empty before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none() or ""


def _newer(connection: Connection, revision: str) -> errors.DataFolderUnusable:
    writer = connection.execute(select(about.c.value).where(about.c.name == "written_by")).scalar_one()
    return errors.DataFolderUnusable(
        f"{connection.engine.url.render_as_string()} was written by Trunkline {writer} (tables {revision}); this is "
        f"{__version__}, which knows tables up to {HEAD}: install trunkline>={writer}, or give another --data folder"
    )


def _unusable(url: URL, fault: Exception) -> errors.Unstartable:
    cause = fault.__cause__ if isinstance(fault, errors.Unavailable) else fault
    reason = str(getattr(cause, "orig", cause) or cause).strip().replace("\n", " ")
    if url.get_backend_name() == "sqlite":
        message = f"the store {url.database} cannot be used: {reason}. Mend it, or give another folder with --data"
        return errors.DataFolderUnusable(message)
    message = f"the store {url.render_as_string()} cannot be used: {reason}. Check --store and that the database is up"
    return errors.Unstartable(message)
