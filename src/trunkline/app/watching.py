"""Notices when an estate's files change."""

from __future__ import annotations

import asyncio
from pathlib import Path

from trunkline.config.faults import Faults
from trunkline.estate.merge import find_files

LOOK_EVERY = 1.0
QUIET = 0.5
"""Seconds without a further change after which one counts as finished: a file may be written in pieces."""

Signature = tuple[tuple[str, int, int, int], ...]


def sign(path: Path) -> Signature:
    """Return what tells one state of an estate's files from another: names, times, sizes and inodes."""
    return tuple(_sign_file(file) for file in find_files(path, Faults()))


class EstateWatch:
    """Watches an estate's file or folder from the moment it is made."""

    def __init__(self, path: Path, *, look_every: float = LOOK_EVERY, quiet: float = QUIET) -> None:
        self._path = path
        self._look_every = look_every
        self._quiet = quiet
        self._seen = sign(path)

    async def changed(self) -> None:
        """Return once the files have changed and have stood still for a while."""
        while (found := await self._look(self._look_every)) == self._seen:
            pass
        while (again := await self._look(self._quiet)) != found:
            found = again
        self._seen = found

    async def _look(self, after: float) -> Signature:
        await asyncio.sleep(after)
        return await asyncio.to_thread(sign, self._path)


def _sign_file(file: Path) -> tuple[str, int, int, int]:
    try:
        about = file.stat()
    except OSError:
        return (str(file), 0, 0, 0)
    return (str(file), about.st_mtime_ns, about.st_size, about.st_ino)
