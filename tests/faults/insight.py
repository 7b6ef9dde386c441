"""A look into the processes of a running exchange, and a hand on their wall clock."""

from __future__ import annotations

import json
import os
import random
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from tests.path.exchange import SOURCE, Exchange

INSIDE = Path(__file__).parent / "inside"
SECOND = 1_000_000_000
JUMPS = (-2 * 86_400, -3_600, -90, -1, 1, 90, 3_600, 2 * 86_400)
"""Seconds by which a wall clock is set forth or back, from where it stands in truth."""
JUMP_EVERY = 0.3
STORE = "/trunkline.db"


class Inner(msgspec.Struct, frozen=True):
    """What a worker has: open descriptors but those that are kept for later use, asyncio tasks, bytes of bodies."""

    descriptors: int
    tasks: int
    bytes: int


class Insight:
    """Where the processes of one exchange tell what they have, and read how far their clock is off.

    The exchange is started with `path` as its PYTHONPATH, and with the folder in FAULTS_FOLDER.
    """

    path = os.pathsep.join((str(INSIDE), str(SOURCE)))

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.set_clock(0)

    def set_clock(self, seconds: int) -> None:
        """Set every process' wall clock so many seconds off the truth, at once."""
        with (self.folder / "offset").open("r+b" if (self.folder / "offset").exists() else "w+b") as file:
            file.write(struct.pack("<q", seconds * SECOND))

    @contextmanager
    def jumping(self, seed: int) -> Iterator[None]:
        """Set the clock forth and back, over and over, for as long as the block lasts; then right again."""
        chance = random.Random(seed)  # noqa: S311 - a seeded draw is the point
        over = threading.Event()

        def jump() -> None:
            while not over.wait(JUMP_EVERY):
                self.set_clock(chance.choice(JUMPS))

        thread = threading.Thread(target=jump)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.set_clock(0)

    def workers(self, running: Exchange) -> list[int]:
        """The processes that answer."""
        task = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        found = []
        for child in task.read_text().split():
            with suppress(OSError):
                if b"trunkline.app.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
        return sorted(found)

    def look(self, running: Exchange, apart: set[int]) -> dict[int, Inner]:
        """Return what each worker has.

        Not counted is what is kept in a pool of bounded size: connections to the ports in `apart`, and to the store.
        """
        kept = _connected(apart)
        found = {}
        for pid in self.workers(running):
            links = [_link(file) for file in Path(f"/proc/{pid}/fd").iterdir()]
            counts = json.loads((self.folder / f"{pid}.json").read_text())
            opened = sum(link not in kept and STORE not in link for link in links)
            found[pid] = Inner(opened, counts["tasks"], counts["bytes"])
        return found


def _link(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""


def _connected(ports: set[int]) -> set[str]:
    """The sockets of this machine that are connected to one of these ports, as `/proc/PID/fd` shows them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) in ports:
            found.add(f"socket:[{fields[9]}]")
    return found
