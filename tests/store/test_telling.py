from __future__ import annotations

import io
import sys
from queue import Queue

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DatabaseError

from trunkline.store.telling import Silence, Stderr, Work, bar, telling, watched

LONG = 3_600.0
PATIENCE = 30.0


class Heard:
    """Keeps what is said."""

    def __init__(self, every: float = 0.001) -> None:
        self.every = every
        self.lines: Queue[tuple[str, float | None]] = Queue()

    def say(self, line: str, share: float | None = None) -> None:
        self.lines.put((line, share))

    def next(self) -> tuple[str, float | None]:
        return self.lines.get(timeout=PATIENCE)

    def last(self) -> str:
        return [self.lines.get_nowait() for _ in range(self.lines.qsize())][-1][0]


def test_what_takes_long_says_what_it_is_at_and_that_it_is_done() -> None:
    heard = Heard()
    with create_engine("sqlite://").begin() as connection:
        with telling(connection, heard, after=0.0):
            connection.execute(text("CREATE TABLE lines (id INTEGER)"))
            connection.execute(text("INSERT INTO lines VALUES (1)"))
            assert "If stopped, it begins anew" in heard.next()[0]
            while "writing lines; " not in heard.next()[0]:
                pass
        assert "done writing" in heard.last()
        connection.execute(text("INSERT INTO lines VALUES (2)"))
    assert heard.lines.empty()


def test_what_fails_does_not_say_that_it_is_done() -> None:
    heard = Heard(LONG)

    def fail(connection: Connection) -> None:
        with telling(connection, heard, after=0.0):
            assert heard.next()
            connection.execute(text("INSERT INTO nowhere VALUES (1)"))

    with create_engine("sqlite://").connect() as connection, pytest.raises(DatabaseError):
        fail(connection)
    assert heard.last().startswith("stopped writing nowhere")


def test_what_is_done_soon_is_done_in_silence() -> None:
    heard = Heard()
    with create_engine("sqlite://").begin() as connection, telling(connection, heard, after=LONG):
        connection.execute(text("CREATE TABLE lines (id INTEGER)"))
    assert heard.lines.empty()


def test_a_long_work_says_what_it_is_at_and_how_much_of_it_is_done() -> None:
    heard, work = Heard(), Work("days")
    with watched(work, "comparing", heard, "comparing takes a while", after=0.0):
        assert heard.next() == ("comparing takes a while", None)
        for share, words in ((None, "comparing hours; "), (0.0, "hours: 0%; "), (0.437, "hours: 44%; ")):
            work.begin("hours", share)
            line, said = heard.next()
            while words not in line:
                line, said = heard.next()
            assert said == share
    assert heard.last().startswith("done comparing, after ")


def test_silence_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with watched(Work("days"), "comparing", Silence(), "it takes a while", after=0.0):
        pass
    assert capfd.readouterr() == ("", "")


def test_lines_stand_below_each_other_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    voice = Stderr()
    voice.say("comparing days: 10%", 0.1)
    voice.say("done")
    assert written.getvalue() == "trunkline: comparing days: 10%\ntrunkline: done\n"


def test_on_a_terminal_a_bar_is_drawn_over_the_one_before_and_words_take_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    voice = Stderr()
    for share in (0.25, 0.5):
        voice.say("comparing days", share)
    voice.say("done")
    *drawn, last = written.getvalue().split("\r\x1b[2K")
    assert drawn == [f"trunkline: {bar(share)} comparing days" for share in (0.25, 0.5)]
    assert last == "trunkline: done\n"
    assert bar(0.5).count("#") == bar(0.5).count("-")
