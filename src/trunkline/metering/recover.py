from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import msgspec

from trunkline.ids import JournalId
from trunkline.metering.frames import SUFFIX, Damage, read
from trunkline.metering.ports import LedgerStore
from trunkline.metering.records import Entry

log = logging.getLogger(__name__)

BATCH = 768 << 10
"""Bytes of a journal that are booked in one transaction: some 1,400 calls, each with its intent and its settlement."""


class Recovery(msgspec.Struct, frozen=True):
    """What was found in the journals of workers that are gone.

    Attributes:
        journals: files that were read.
        records: intents and settlements that were booked now.
        lost: attempts that nobody settled: booked at their holds.
        torn: files that end within a record, cut there.
        damaged: files with invalid stretches; they are kept beside the others, with `.damaged` behind their name.
        strays: settlements in the store without an intent.
    """

    journals: int = 0
    records: int = 0
    lost: int = 0
    torn: int = 0
    damaged: tuple[Path, ...] = ()
    strays: int = 0


def recover(
    folder: Path,
    store: LedgerStore,
    now: int,
    *,
    living: frozenset[JournalId] = frozenset(),
    alone: bool = True,
) -> Recovery:
    """Book all that stands in the journals of a folder and of the folders in it, and close what was left open.

    What is wholly booked is deleted, and so are folders that are empty then.

    Only for a folder that nobody else writes to; `living` names the journals of the caller itself. Safe to be killed at
    any point and to be run again. `alone` says that nobody else drains into the store either: then the positions of
    journals that are gone are forgotten, too.

    Raises:
        errors.DataFolderUnusable: a newer version of Trunkline wrote a journal.
        OSError: a file cannot be read or deleted.
    """
    paths = [path for path in sorted(folder.rglob(f"*{SUFFIX}")) if _journal_of(path) not in living]
    positions = store.drained()
    records = torn = 0
    damaged: list[Path] = []
    for path in paths:
        found = _drain_file(path, store, positions.get(_journal_of(path), 0))
        records += found.records
        torn += found.torn
        if found.damage or _mark(path).exists():
            damaged.append(path)
    # Only now: a settlement may stand in a later file than its intent.
    lost = sum(store.close_lost(_journal_of(path), now) for path in paths)
    for path in paths:
        if path not in damaged:  # What cannot be read may have used up any part of them.
            store.close_leases(_journal_of(path))
    for path in paths:
        if path in damaged:
            path.rename(path.with_name(path.name + ".damaged"))
            _mark(path).unlink(missing_ok=True)
        else:
            path.unlink()
    read_through = frozenset(map(_journal_of, paths))
    positions = store.drained()
    for journal in positions.keys() - living if alone and not store.shared else positions.keys() & read_through:
        store.forget(journal)
    for emptied in folder.glob("*/") if alone else (folder,):
        with suppress(OSError):  # What was damaged stays in it.
            emptied.rmdir()
    strays = store.strays()
    if strays:
        log.error("settlements in the store without an intent: %d; a journal was damaged or deleted by hand", strays)
    return Recovery(len(paths), records, lost, torn, tuple(damaged), strays)


def report(path: Path, damage: tuple[Damage, ...]) -> None:
    """Log where a journal holds bytes that are no records."""
    for piece in damage:
        log.error("journal %s is damaged: %d bytes at offset %d hold no record", path, piece.length, piece.offset)


def note_damage(path: Path) -> None:
    """Leave a mark beside a damaged journal, before what follows the damage is booked: nobody reads there again."""
    _mark(path).touch(mode=0o600)


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".has-damage")


class _Drained(msgspec.Struct):
    records: int = 0
    torn: bool = False
    damage: tuple[Damage, ...] = ()


def _drain_file(path: Path, store: LedgerStore, offset: int) -> _Drained:
    journal = _journal_of(path)
    drained = _Drained()
    while True:
        reading = read(path, offset, most=BATCH)
        drained.damage += reading.damage
        report(path, reading.damage)
        if reading.damage:
            note_damage(path)
        if reading.next_offset == offset:
            drained.torn = reading.torn
            break
        store.book([Entry(journal, record) for record in reading.records], {journal: reading.next_offset})
        drained.records += len(reading.records)
        offset = reading.next_offset
    if drained.torn:
        log.warning("journal %s was cut at offset %d, within a record that was never finished", path, offset)
    return drained


def _journal_of(path: Path) -> JournalId:
    return JournalId(path.name.removesuffix(SUFFIX))
