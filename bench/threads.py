"""Which thread spends the time: the loop that answers, or the one that drains the journal beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bench import cpu


def spent(pid: int) -> Counter[str]:
    """Return nanoseconds by thread, each named by its process, its number and what it calls itself."""
    found: Counter[str] = Counter()
    for member in cpu.tree(pid):
        for thread in Path(f"/proc/{member}/task").glob("*"):
            try:
                name = (thread / "comm").read_text().strip()
                found[f"{name} {thread.name}"] = int((thread / "schedstat").read_text().split()[0])
            except OSError:  # the thread ended while we looked
                continue
    return found


def shares(before: Mapping[str, int], after: Mapping[str, int], done: float) -> list[str]:
    """Return a line for each thread that did something: microseconds per request or chunk."""
    used = {name: after[name] - before.get(name, 0) for name in after}
    return [
        f"{nanos / 1000 / done:8.1f} us  thread {name}"
        for name, nanos in sorted(used.items(), key=lambda item: -item[1])
        if nanos / 1000 / done >= 0.05
    ]
