"""Tells on stderr how a long work on the store goes on, so that it does not look hung."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from sqlalchemy import Connection, event

from trunkline.metering.ports import Voice

AFTER, EVERY = 2.0, 10.0
"""Seconds until the first word, and between words from then on: what is done sooner is done in silence."""

DRAW_EVERY = 0.5
"""Seconds between two states of a bar."""

WIDTH = 24

_WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|CREATE TABLE|ALTER TABLE)\s+\"?(\w+)")


class Stderr:
    """Says lines to the one who waits: one below the other, or on a terminal as one line with a bar."""

    def __init__(self) -> None:
        self._drawing = sys.stderr.isatty()
        self._drawn = False
        self.every = DRAW_EVERY if self._drawing else EVERY

    def say(self, line: str, share: float | None = None) -> None:
        """Say a line."""
        if not self._drawing:
            sys.stderr.write(f"trunkline: {line}\n")
        else:
            before, self._drawn = "\r\x1b[2K" if self._drawn else "", share is not None
            if share is None:
                sys.stderr.write(f"{before}trunkline: {line}\n")
            else:
                width = shutil.get_terminal_size().columns - 1
                sys.stderr.write(f"{before}{f'trunkline: {bar(share)} {line}'[:width]}")
        sys.stderr.flush()


class Silence:
    """Says nothing."""

    every = EVERY

    def say(self, line: str, share: float | None = None) -> None:
        """Say nothing."""


def bar(share: float) -> str:
    """Draw how much is done, from 0 to 1."""
    done = min(WIDTH, int(share * WIDTH))
    return f"[{'#' * done}{'-' * (WIDTH - done)}]"


class Work:
    """What is being done, and how much of it is; whoever does it writes both.

    Attributes:
        share: from 0 to 1; None where nobody knows.
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.share: float | None = None

    def begin(self, doing: str, share: float | None = None) -> None:
        """Begin with the next."""
        self.doing, self.share = doing, share

    def reach(self, share: float) -> None:
        """Note how much is done."""
        self.share = share


@contextmanager
def watched(work: Work, verb: str, voice: Voice, first: str, *, after: float = AFTER) -> Iterator[None]:
    """Say now and then what is being done, for how long, and how much of it is done.

    Args:
        work: what is done.
        verb: what is done to it.
        voice: who says so.
        first: what is said first, if anything is said.
        after: seconds until then.
    """
    over, began = Event(), time.monotonic()

    def tell() -> None:
        if over.wait(after):
            return
        voice.say(first)
        while not over.wait(voice.every):
            known = "" if work.share is None else f": {work.share:.0%}"
            voice.say(f"{verb} {work.doing}{known}; {time.monotonic() - began:.0f} s so far", work.share)

    thread = Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        over.set()
        thread.join()
        if time.monotonic() - began >= after:
            voice.say(f"stopped {verb} {work.doing}, after {time.monotonic() - began:.0f} s")
        raise
    else:
        over.set()
        thread.join()
        if time.monotonic() - began >= after:
            voice.say(f"done {verb}, after {time.monotonic() - began:.0f} s")


@contextmanager
def telling(connection: Connection, voice: Voice | None = None, *, after: float = AFTER) -> Iterator[Work]:
    """Say of an upgrade which table the connection's transaction is writing."""
    work = Work("tables")

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if found := _WRITES.match(statement):
            work.doing = found[1]

    first = "bringing the store up to date; with millions of calls this takes minutes. If stopped, it begins anew"
    event.listen(connection, "before_cursor_execute", note)
    try:
        with watched(work, "writing", voice or Stderr(), first, after=after):
            yield work
    finally:
        event.remove(connection, "before_cursor_execute", note)
