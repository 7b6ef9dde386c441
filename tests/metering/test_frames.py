from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.metering.made import intent, settlement

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.metering import frames
from trunkline.metering.frames import HEADER_SIZE, Damage, Record, frame, header, read

NAME = JournalId("0123456789abcdef01234567")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [intent(1), settlement(2), intent(3), intent(4), settlement(5, "req_00000003")]


@pytest.fixture(scope="module")
def written(records: list[Record]) -> bytes:
    return header(NAME) + b"".join(map(frame, records))


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / f"{NAME}.journal"


def test_what_was_written_is_read_back(journal: Path, records: list[Record], written: bytes) -> None:
    journal.write_bytes(written)
    reading = read(journal)
    assert list(reading.records) == records
    assert (reading.next_offset, reading.torn, reading.damage) == (len(written), False, ())


def test_reading_goes_on_where_it_ended(journal: Path, records: list[Record], written: bytes) -> None:
    journal.write_bytes(written)
    offset = 0
    found: list[Record] = []
    while (reading := read(journal, offset, most=1)).next_offset != offset:
        assert len(reading.records) == 1
        found += reading.records
        offset = reading.next_offset
    assert found == records


def test_a_file_cut_at_any_byte_gives_its_whole_frames_and_says_that_it_is_torn(
    journal: Path, records: list[Record], written: bytes
) -> None:
    ends = [HEADER_SIZE]
    for record in records:
        ends.append(ends[-1] + len(frame(record)))
    for size in range(len(written)):
        journal.write_bytes(written[:size])
        reading = read(journal)
        whole = sum(size >= end for end in ends[1:])
        assert list(reading.records) == records[:whole]
        assert reading.torn == (size not in (0, *ends))
        assert reading.next_offset == (ends[whole] if size >= HEADER_SIZE else 0)
        assert reading.damage == ()


def test_zeros_behind_the_last_frame_are_a_torn_tail(journal: Path, records: list[Record], written: bytes) -> None:
    journal.write_bytes(written + bytes(100))
    reading = read(journal)
    assert (list(reading.records), reading.torn, reading.damage) == (records, True, ())
    assert reading.next_offset == len(written)


def _all(journal: Path) -> tuple[list[Record], list[Damage]]:
    offset = 0
    found: list[Record] = []
    damage: list[Damage] = []
    while (reading := read(journal, offset)).next_offset != offset:
        found += reading.records
        damage += reading.damage
        offset = reading.next_offset
    return found, damage


def test_a_flipped_bit_loses_one_frame_at_most_and_is_reported_where_it_stands(
    journal: Path, records: list[Record], written: bytes
) -> None:
    for at in range(HEADER_SIZE, len(written), 3):
        journal.write_bytes(written[:at] + bytes([written[at] ^ 0x10]) + written[at + 1 :])
        found, damage = _all(journal)
        assert len(found) == len(records) - 1
        assert all(record in records for record in found)
        assert len(damage) == 1
        assert damage[0].offset <= at < damage[0].offset + damage[0].length


def test_a_damaged_header_is_reported_and_the_frames_are_read(
    journal: Path, records: list[Record], written: bytes
) -> None:
    journal.write_bytes(b"X" + written[1:])
    assert _all(journal) == (records, [Damage(0, HEADER_SIZE)])


@settings(max_examples=50, deadline=None)
@given(garbage=st.binary(min_size=1, max_size=60).filter(lambda data: data.strip(b"\0")))
def test_garbage_between_frames_is_reported_and_skipped(journal: Path, records: list[Record], garbage: bytes) -> None:
    before, behind = map(frame, records[:2])
    journal.write_bytes(header(NAME) + before + garbage + behind)
    found, damage = _all(journal)
    assert found[0] == records[0]
    # Garbage may look like the beginning of a frame that is cut: then it is a torn tail, never a silent skip.
    assert found == records[:2] or read(journal, HEADER_SIZE + len(before)).torn
    assert damage == [Damage(HEADER_SIZE + len(before), len(garbage))] or found == records[:1]


def test_damage_longer_than_a_look_is_skipped(
    journal: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "LARGEST", 2_000)
    first, second = map(frame, records[:2])
    journal.write_bytes(header(NAME) + first + b"\xff" * 10_000 + second)
    offset = 0
    found: list[Record] = []
    damage: list[Damage] = []
    while (reading := read(journal, offset, most=100)).next_offset != offset:
        found += reading.records
        damage += reading.damage
        offset = reading.next_offset
    assert found == records[:2]
    assert damage == [Damage(HEADER_SIZE + len(first), 10_000)]


def test_a_journal_of_a_newer_format_is_refused(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "VERSION", frames.VERSION + 1)
    journal.write_bytes(header(NAME))
    monkeypatch.undo()
    with pytest.raises(errors.DataFolderUnusable, match="newer version"):
        read(journal)
