"""Stands in each process of an exchange under test: moves its wall clock, and tells what it has under way.

Python imports a module of this name at its start, from the PYTHONPATH that `tests.faults.insight` gives the exchange.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvloop

from trunkline.wire.reader import Bodies

FOLDER = Path(os.environ["FAULTS_FOLDER"])
TELL_EVERY = 0.1


def _move_the_clock() -> None:
    with (FOLDER / "offset").open("rb") as file:
        page = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    tell = time.time_ns

    def time_ns() -> int:
        offset: int = struct.unpack("<q", page[:8])[0]
        return tell() + offset

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1_000_000_000


def _tell_what_is_under_way() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    halls: list[Bodies] = []
    begin = Bodies.__init__

    class Loop(uvloop.Loop):
        def __init__(self) -> None:
            super().__init__()
            loops.append(self)

    def begun(self: Bodies, most: int) -> None:
        begin(self, most)
        halls.append(self)

    uvloop.Loop = Loop  # type: ignore[misc]
    Bodies.__init__ = begun  # type: ignore[method-assign]

    def tell() -> None:
        path, draft = (FOLDER / f"{os.getpid()}{end}" for end in (".json", ".draft"))
        while True:
            counts: dict[str, Any] = {
                "tasks": sum(len(asyncio.all_tasks(loop)) for loop in loops),
                "bytes": sum(hall.held for hall in halls),
            }
            draft.write_text(json.dumps(counts))
            draft.replace(path)
            time.sleep(TELL_EVERY)

    threading.Thread(target=tell, daemon=True, name="insight").start()


_move_the_clock()
if "trunkline.app.worker" in sys.orig_argv:
    _tell_what_is_under_way()
