"""Long work in a thread beside the event loop, cut into stretches, so that a call need not wait for the whole of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

LENGTH = 128
"""How many rows or records make a stretch: some tenths of a millisecond."""

T = TypeVar("T")


def in_stretches(work: Sequence[T]) -> Iterator[Sequence[T]]:
    """Give work in stretches of LENGTH, and give way after each."""
    for start in range(0, len(work), LENGTH):
        yield work[start : start + LENGTH]
        give_way()


def give_way() -> None:
    """Let another thread have Python's lock, and the core, if one waits for them.

    The lock alone is asked for by who wants it. The core is not: where the loop is woken from another core, Linux with
    lazy preemption tells the thread that runs there at its next system call, else at the next tick, up to 4 ms later.
    """
    time.sleep(0)
