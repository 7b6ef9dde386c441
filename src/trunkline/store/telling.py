"""Tells on stderr how a long work on the store goes on, so that it does not look hung."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from sqlalchemy import Connection, event

AFTER, EVERY = 2.0, 10.0
"""Seconds until the first word, and between words from then on: what is done sooner is done in silence."""

_WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|CREATE TABLE|ALTER TABLE)\s+\"?(\w+)")


def to_stderr(line: str) -> None:
    """Say a line to the one who waits."""
    sys.stderr.write(f"trunkline: {line}\n")
    sys.stderr.flush()


@contextmanager
def telling(
    connection: Connection, say: Callable[[str], None] = to_stderr, *, after: float = AFTER, every: float = EVERY
) -> Iterator[None]:
    """Say now and then which table the connection's transaction is writing, and for how long it has been at it."""
    doing, over, began = ["tables"], Event(), time.monotonic()

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if found := _WRITES.match(statement):
            doing[0] = found[1]

    def tell() -> None:
        if over.wait(after):
            return
        say("bringing the store up to date; with millions of calls this takes minutes. If stopped, it begins anew")
        while not over.wait(every):
            say(f"bringing the store up to date: {time.monotonic() - began:.0f} s so far, writing {doing[0]}")
        say(f"the store is up to date, after {time.monotonic() - began:.0f} s" if doing[0] else "the upgrade failed")

    event.listen(connection, "before_cursor_execute", note)
    thread = Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        doing[0] = ""
        raise
    finally:
        over.set()
        thread.join()
        event.remove(connection, "before_cursor_execute", note)


@contextmanager
def comparing(
    say: Callable[[str], None], *, after: float = AFTER, every: float = EVERY
) -> Iterator[Callable[[str], None]]:
    """Say now and then what is being compared, and for how long; the caller hands in what it begins with."""
    doing, over, began = [""], Event(), time.monotonic()

    def tell() -> None:
        pause = after
        while not over.wait(pause):
            say(f"comparing {doing[0]}; {time.monotonic() - began:.0f} s so far")
            pause = every

    def begin(what: str) -> None:
        doing[0] = what

    thread = Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield begin
    finally:
        over.set()
        thread.join()
