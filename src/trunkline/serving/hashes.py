"""SHA-256 of large files, read once: what a file hashed to is remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

_PROGRESS_STEP = 1 << 30  # bytes; smaller files are hashed before anyone asks


class _Known(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


class Hashes:
    """The hashes known in one data folder. The record is only a shortcut: without it, files are read again."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "hashes.json"

    def of(self, path: Path, report: Callable[[str], None]) -> str:
        """Return the file's SHA-256 in hex, reading it only if it changed since last time.

        Raises:
            OSError: the file cannot be read.
        """
        path = path.resolve()
        facts = path.stat()
        known = self._load()
        entry = known.get(str(path))
        if entry is not None and (entry.size, entry.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return entry.sha256
        digest = _read(path, facts.st_size, report)
        known[str(path)] = _Known(facts.st_size, facts.st_mtime_ns, digest)
        self._store(known)
        return digest

    def _load(self) -> dict[str, _Known]:
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=dict[str, _Known])
        except (OSError, msgspec.DecodeError):
            return {}

    def _store(self, known: dict[str, _Known]) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._record.with_suffix(f".{secrets.token_hex(4)}")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
        fresh.replace(self._record)


def _read(path: Path, size: int, report: Callable[[str], None]) -> str:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            before, done = done, done + len(chunk)
            digest.update(chunk)
            if done // _PROGRESS_STEP > before // _PROGRESS_STEP:
                report(f"checking {path.name}: {done >> 30} of {size >> 30} GiB")
    return digest.hexdigest()
