"""Copies of a data folder, made while an exchange runs on it, and put back.

What an attempt did is at every moment in its journal or in the database, and for a while in both; a record that is
read twice is booked once. So the journals are copied first: what stood there is in the copy, or in the database that is
copied after them. They are copied again at the end, for those that began meanwhile: an attempt whose end is in no copy
is booked as lost when the copy is started, and that takes its journal.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from hashlib import file_digest
from pathlib import Path

import msgspec

from trunkline import __version__, errors
from trunkline.metering.frames import SUFFIX
from trunkline.metering.ports import Voice
from trunkline.store.folder import DataFolder
from trunkline.store.place import FILE
from trunkline.store.schema import HEAD
from trunkline.store.telling import Silence, Work, watched

MANIFEST = "manifest.json"
FORMAT = 1
KEPT = ("pepper", FILE)
"""Single files of the data folder that belong to a copy, beside the database, the journals and the applied estate."""
FOLDERS = ("applied-estate",)
STEP = 2_048
"""Pages of the database that are copied at once."""

IGNORED = frozenset({"exchange.lock"})
"""What an empty data folder may have."""


class Copied(msgspec.Struct, frozen=True):
    """A file of the copy: its size in bytes, its SHA-256 and its access mode in octal."""

    size: int
    sha256: str
    mode: str


class Manifest(msgspec.Struct, frozen=True):
    """What a copy is: written last, so that one without it is not whole.

    Attributes:
        tables: the revision of the database's tables.
        store: where the store was: `trunkline.db` in the folder, or elsewhere, and then it is not in the copy.
    """

    format: int
    trunkline: str
    tables: str
    made_at: str
    store: str
    files: dict[str, Copied]


def back_up(folder: DataFolder, place: str, to: Path, made_at: str, voice: Voice | None = None) -> Manifest:
    """Copy a data folder into a new or empty one, whether an exchange runs on it or not.

    Args:
        folder: what to copy.
        place: where its store is, without a password.
        to: where to.
        made_at: the time, for the manifest.
        voice: says how it goes on, where it takes long.

    Raises:
        errors.DataFolderUnusable: `to` holds something already, or something cannot be read or written.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise errors.DataFolderUnusable(f"{to} holds something already: name a folder that is new or empty")
    work = Work("journals")
    try:
        with watched(work, "copying", voice or Silence(), f"copying {folder.path}; a large ledger takes minutes"):
            return _back_up(folder, place, to, made_at, work)
    except (OSError, sqlite3.Error) as fault:
        message = f"{folder.path} could not be copied to {to}: {fault}. What is there has no manifest: delete it"
        raise errors.DataFolderUnusable(message) from fault


def _back_up(folder: DataFolder, place: str, to: Path, made_at: str, work: Work) -> Manifest:
    own = place == str(folder.store_path)
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy_journals(folder, to)
    if own and folder.store_path.exists():
        work.begin(folder.store_path.name, 0)
        _copy_database(folder.store_path, to / folder.store_path.name, work.reach)
    work.begin("journals")
    for name in KEPT:
        if (folder.path / name).exists():
            _copy(folder.path / name, to / name)
    for name in FOLDERS:
        for file in _files(folder.path / name):
            _copy(file, to / file.relative_to(folder.path))
    _copy_journals(folder, to)
    work.begin("checksums")
    manifest = Manifest(
        FORMAT, __version__, HEAD, made_at, folder.store_path.name if own else place, dict(_described(to))
    )
    _write(to / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return a copy's manifest, having compared every file with it.

    Raises:
        errors.DataFolderUnusable: there is none, a newer version wrote it, or a file is missing or differs.
    """
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
        there = dict(_described(source))
    except FileNotFoundError as fault:
        message = f"{source} is no whole copy: it has no {MANIFEST}. Name a folder that `trunkline backup` made"
        raise errors.DataFolderUnusable(message) from fault
    except (OSError, msgspec.DecodeError) as fault:
        raise errors.DataFolderUnusable(f"{source} cannot be read: {fault}. Take another copy") from fault
    if manifest.format > FORMAT or manifest.tables > HEAD:
        message = (
            f"{source} was made by Trunkline {manifest.trunkline}; this is {__version__}: "
            f"install trunkline>={manifest.trunkline}"
        )
        raise errors.DataFolderUnusable(message)
    for name, copied in manifest.files.items():
        found = there.get(name)
        if found is None or (found.size, found.sha256) != (copied.size, copied.sha256):
            what = "is missing" if found is None else "is not what was copied: its SHA-256 differs"
            raise errors.DataFolderUnusable(f"{source / name} {what}. Take another copy")
    return manifest


def restore(source: Path, folder: DataFolder, aside: str, *, force: bool = False) -> Manifest:
    """Put a copy back into a data folder on which nothing runs.

    Args:
        source: what `back_up` made.
        folder: where it goes.
        aside: the name of a folder within, into which what is there goes.
        force: whether anything may be there.

    Raises:
        errors.DataFolderBusy: an exchange runs on it.
        errors.DataFolderUnusable: it holds something already, or the copy is not whole.
    """
    manifest = read_manifest(source)
    with folder.hold(patience=0):
        there = [path for path in folder.path.iterdir() if path.name not in IGNORED and not _hollow(path)]
        if there and not force:
            named = ", ".join(sorted(path.name for path in there)[:5])
            message = f"{folder.path} holds {named} already: name another folder with --data, or give --force, which "
            raise errors.DataFolderUnusable(message + f"puts it aside into {aside}")
        try:
            for path in there:
                (folder.path / aside).mkdir(mode=0o700, exist_ok=True)
                path.rename(folder.path / aside / path.name)
            for name, copied in manifest.files.items():
                _copy(source / name, folder.path / name, int(copied.mode, 8))
        except OSError as fault:
            message = f"{source} could not be put back into {folder.path}: {fault}. Mend that and do it again, --force"
            raise errors.DataFolderUnusable(message) from fault
    return manifest


def _copy_journals(folder: DataFolder, to: Path) -> None:
    for path in _files(folder.journal_folder):
        if SUFFIX in path.name:
            with suppress(FileNotFoundError):  # All of it was booked meanwhile.
                _copy(path, to / path.relative_to(folder.path))


def _copy_database(source: Path, to: Path, reach: Callable[[float], None]) -> None:
    """Copy the database as it stands now, some pages at a time, while others write to it.

    SQLite begins anew when another process writes between two steps, unless one transaction reads over all of them.
    """
    _write(to, b"")
    with closing(sqlite3.connect(source, isolation_level=None)) as of, closing(sqlite3.connect(to)) as copy:
        of.execute("BEGIN")
        of.execute("SELECT 1 FROM sqlite_master").fetchone()
        of.backup(copy, pages=STEP, progress=lambda _, left, whole: reach(1 - left / max(whole, 1)))


def _copy(source: Path, to: Path, mode: int | None = None) -> None:
    for parent in reversed([folder for folder in to.parents if not folder.exists()]):
        parent.mkdir(mode=0o700)
    with source.open("rb") as of:
        fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as copy:
            shutil.copyfileobj(of, copy)
            os.fchmod(copy.fileno(), source.stat().st_mode & 0o777 if mode is None else mode)
            copy.flush()
            os.fsync(copy.fileno())


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _described(folder: Path) -> Iterator[tuple[str, Copied]]:
    for path in _files(folder):
        if path != folder / MANIFEST:
            with path.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
            about = path.stat()
            yield str(path.relative_to(folder)), Copied(about.st_size, digest, f"{about.st_mode & 0o777:o}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _hollow(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
