"""The journal's file format, and how it is read back.

    file   = header frame*
    header = magic "TRNKJRNL", version u16, zero u16, journal id (32 bytes, padded with zeros), CRC-32 of all before it
    frame  = length u32, length XOR 0x4B4E5254 u32, CRC-32 of the payload u32, payload: one msgpack record

All integers are little-endian. The length stands there twice so that a cut frame (its beginning is whole) can be told
from a damaged one (its beginning makes no sense): the first is what a killed process leaves, the second never normal.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from zlib import crc32

import msgspec

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.metering.records import Intent, Settlement

VERSION = 1
SUFFIX = ".journal"
MAGIC = b"TRNKJRNL"
LARGEST = 1 << 20
LENGTH_MASK = 0x4B4E5254
_CUT = b""

_HEADER = struct.Struct("<8sHH32s")
_CHECKSUM = struct.Struct("<I")
_FRAME = struct.Struct("<III")
HEADER_SIZE = _HEADER.size + _CHECKSUM.size

Record = Intent | Settlement
_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


class Damage(msgspec.Struct, frozen=True):
    """A stretch of a journal that holds no valid frame although valid ones may follow it."""

    offset: int
    length: int


class Reading(msgspec.Struct, frozen=True):
    """What one look at a journal found.

    Attributes:
        next_offset: where to read on: the end of the last whole frame (or of the damage before a whole one).
        torn: the file ends within a frame, as a process killed while writing leaves it; the piece is not read.
        damage: stretches that were skipped because their checksum or framing is wrong. Never normal: report them.
    """

    records: tuple[Record, ...]
    next_offset: int
    torn: bool = False
    damage: tuple[Damage, ...] = ()


def header(journal: JournalId) -> bytes:
    """Return the bytes that a journal file begins with."""
    body = _HEADER.pack(MAGIC, VERSION, 0, journal.encode("ascii"))
    return body + _CHECKSUM.pack(crc32(body))


def frame(record: Record) -> bytes:
    """Return a record as it stands in the file."""
    payload = _encode(record)
    length = len(payload)
    return _FRAME.pack(length, length ^ LENGTH_MASK, crc32(payload)) + payload


def read(path: Path, offset: int = 0, *, end: int | None = None, most: int = LARGEST) -> Reading:
    """Read the whole frames from `offset` on, some `most` bytes of them; call again from `next_offset` for more.

    `end` cuts the file there, for one that is still being written. A look that finds nothing returns the same offset.

    Raises:
        errors.DataFolderUnusable: a newer version of Trunkline wrote the file.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        stop = size if end is None else min(end, size)
        if offset < HEADER_SIZE:
            if stop < HEADER_SIZE:
                return Reading((), offset, torn=stop > 0)
            damage = _check_header(path, os.pread(file.fileno(), HEADER_SIZE, 0))
            offset = HEADER_SIZE
        else:
            damage = ()
        if offset > stop:  # A copy that was made before more was appended and booked.
            return Reading((), offset, damage=damage)
        # At least one frame of the largest size fits, so that a look that finds none has met the end or damage.
        window = os.pread(file.fileno(), min(stop - offset, most + LARGEST), offset)
        reading = _frames(window, offset, most, damage)
        if reading is None and offset + len(window) < stop:  # Damage longer than the window: look behind all of it.
            window = os.pread(file.fileno(), stop - offset, offset)
            reading = _frames(window, offset, most, damage)
    return reading if reading is not None else _no_more(window, offset, damage)


def _check_header(path: Path, head: bytes) -> tuple[Damage, ...]:
    magic, version, _, name = _HEADER.unpack_from(head)
    whole = _CHECKSUM.unpack_from(head, _HEADER.size)[0] == crc32(head[: _HEADER.size])
    if not whole or magic != MAGIC or name.rstrip(b"\0") != path.name.removesuffix(SUFFIX).encode():
        return (Damage(0, HEADER_SIZE),)
    if version > VERSION:
        message = (
            f"{path} was written by a newer version of Trunkline (journal format {version}, this one reads up to "
            f"{VERSION}): start that version once so that it drains its journals, or install it"
        )
        raise errors.DataFolderUnusable(message)
    return ()


def _frames(window: bytes, base: int, most: int, damage: tuple[Damage, ...]) -> Reading | None:
    """Read the frames that begin in the first `most` bytes of the window; None if damage reaches to its end."""
    records: list[Record] = []
    at, limit = 0, min(len(window), most)
    while (at := _run(window, at, limit, records)) < limit:
        if _payload_at(window, at) == _CUT or not window[at:].strip(b"\0"):
            # A file system that lost its power may have grown the file without the bytes: zeros to the end are a cut.
            return Reading(tuple(records), base + at, torn=True, damage=damage)
        if (start := _next_frame(window, at + 1)) >= 0:
            damage = (*damage, Damage(base + at, start - at))
            at = start
        elif records:
            break
        else:
            return None
    return Reading(tuple(records), base + at, damage=damage)


def _run(window: bytes, at: int, limit: int, records: list[Record]) -> int:
    """Read whole frames that stand one behind the other, and return where they end. All in one loop: it is hot."""
    unpack, head, end = _FRAME.unpack_from, _FRAME.size, len(window)
    decode, keep = _decoder.decode, records.append
    while at < limit and at + head <= end:
        length, again, checksum = unpack(window, at)
        stop = at + head + length
        payload = window[at + head : stop]
        if length ^ LENGTH_MASK != again or not 0 < length <= LARGEST or stop > end or crc32(payload) != checksum:
            break
        try:
            keep(decode(payload))
        except msgspec.DecodeError:
            break
        at = stop
    return at


def _no_more(window: bytes, base: int, damage: tuple[Damage, ...]) -> Reading:
    """Nothing valid stands in the window, which reaches to the end of the file."""
    return Reading((), base + len(window), damage=(*damage, Damage(base, len(window))))


def _payload_at(window: bytes, at: int) -> bytes | None:
    """Return the payload of the whole frame at this place; _CUT where it ends too early, None where none begins."""
    begin = at + _FRAME.size
    if begin > len(window):
        return _CUT
    length, again, checksum = _FRAME.unpack_from(window, at)
    if length ^ LENGTH_MASK != again or not 0 < length <= LARGEST:
        return None
    payload = window[begin : begin + length]
    if len(payload) < length:
        return _CUT
    return payload if crc32(payload) == checksum else None


def _record(payload: bytes) -> Record | None:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError:
        return None


def _next_frame(window: bytes, at: int) -> int:
    """Find the next whole frame behind damage; -1 when none follows."""
    for start in range(at, len(window) - _FRAME.size):
        payload = _payload_at(window, start)
        if payload and _record(payload) is not None:
            return start
    return -1
