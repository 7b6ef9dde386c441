from __future__ import annotations

from queue import Queue

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DatabaseError

from trunkline.store.telling import comparing, telling

LONG = 3_600.0
PATIENCE = 30.0


def test_what_takes_long_says_what_it_is_at_and_that_it_is_done() -> None:
    said: Queue[str] = Queue()
    with create_engine("sqlite://").begin() as connection:
        with telling(connection, said.put, after=0.0, every=0.001):
            connection.execute(text("CREATE TABLE lines (id INTEGER)"))
            connection.execute(text("INSERT INTO lines VALUES (1)"))
            assert "If stopped, it begins anew" in said.get(timeout=PATIENCE)
            while "writing lines" not in said.get(timeout=PATIENCE):
                pass
        last = [said.get_nowait() for _ in range(said.qsize())][-1]
        assert "is up to date" in last
        connection.execute(text("INSERT INTO lines VALUES (2)"))
    assert said.empty()


def test_what_fails_does_not_say_that_it_is_done() -> None:
    said: Queue[str] = Queue()

    def fail(connection: Connection) -> None:
        with telling(connection, said.put, after=0.0, every=LONG):
            assert said.get(timeout=PATIENCE)
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with create_engine("sqlite://").connect() as connection, pytest.raises(DatabaseError):
        fail(connection)
    assert said.get_nowait() == "the upgrade failed"


def test_what_is_done_soon_is_done_in_silence() -> None:
    said: Queue[str] = Queue()
    with create_engine("sqlite://").begin() as connection, telling(connection, said.put, after=LONG):
        connection.execute(text("CREATE TABLE lines (id INTEGER)"))
    assert said.empty()


def test_a_long_comparison_says_what_it_is_at() -> None:
    said: Queue[str] = Queue()
    with comparing(said.put, after=0.0, every=0.001) as begin:
        for what in ("attempts as lines, 1 of 2", "days as hours, 2 of 2"):
            begin(what)
            while f"comparing {what}; " not in said.get(timeout=PATIENCE):
                pass


def test_a_short_comparison_is_silent() -> None:
    said: Queue[str] = Queue()
    with comparing(said.put, after=LONG) as begin:
        begin("attempts as lines, 1 of 1")
    assert said.empty()
