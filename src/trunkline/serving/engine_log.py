"""An engine's log file: bounded, and without anything of a prompt or an answer."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_MOST_BYTES = 1 << 20
_STAMP = re.compile(r"^(?P<stamp>[\d.]+ (?P<level>[IWED]) (?P<source>[^:]{1,60})): ")
# What may be said while calls run: how a process dies, never what it was asked.
_SAFE = re.compile(
    r"GGML_ASSERT|GGML_ABORT|std::bad_alloc|out of memory|failed to allocate|cannot allocate"
    r"|^Fatal Python error|cancel task, id_task = \d+$"
)


class EngineLog:
    """Takes llama.cpp's log line by line.

    While weights load, lines are kept whole. Afterwards they may quote requests (a JSON error shows what it read last,
    a schema error the schema), so that only how processes die is kept whole, and of an error its time and origin.
    The file rotates at 1 MiB, keeping one older. A line that cannot be written (the disk is full) is lost: an engine
    must not stop for it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self.last_fault = ""

    def write(self, line: str, *, calls_run: bool = False) -> None:
        """Append a line; `calls_run` says that it may quote a request."""
        if calls_run:
            line = _withhold(line)
            if not line:
                return
        elif " E " in line[:24]:
            self.last_fault = _STAMP.sub("", line)
        data = line.encode() + b"\n"
        with suppress(OSError):
            if self._size + len(data) > _MOST_BYTES:
                self._rotate()
            os.write(self._descriptor, data)
            self._size += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _rotate(self) -> None:
        self._path.replace(self._path.with_suffix(".log.1"))
        fresh = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.close(self._descriptor)
        self._descriptor, self._size = fresh, 0


def _withhold(line: str) -> str:
    stamped = _STAMP.match(line)
    rest = line[stamped.end() :] if stamped else line
    if _SAFE.search(rest):
        return line
    return f"{stamped['stamp']}: (withheld)" if stamped and stamped["level"] == "E" else ""
