from __future__ import annotations

import pytest
from bench.question import PACE, PIECES
from bench.streams import deviations, fault_of
from bench.upstream import FRAMES

WHOLE = b"".join(FRAMES)


def test_a_whole_stream_has_no_fault_and_every_event_is_counted() -> None:
    assert fault_of(WHOLE) == ("", len(PIECES) + 4)  # opening, closing, usage, [DONE]


@pytest.mark.parametrize("lost", range(len(FRAMES)))
def test_a_stream_that_lost_a_frame_is_not_whole(lost: int) -> None:
    assert fault_of(b"".join(frame for place, frame in enumerate(FRAMES) if place != lost))[0]


def test_a_stream_cut_at_its_very_end_is_not_whole() -> None:
    assert fault_of(WHOLE[:-1])[0]


def test_chunks_that_come_at_their_pace_are_not_off_it() -> None:
    times = [place * PACE for place in range(len(FRAMES))]
    off = deviations(WHOLE, times, [len(frame) for frame in FRAMES])
    assert off == pytest.approx([0.0] * (len(PIECES) - 1), abs=1e-6)


def test_a_chunk_that_comes_late_is_off_twice_for_it_is_nearer_to_the_next() -> None:
    times = [place * PACE for place in range(len(FRAMES))]
    times[5] += 0.003  # the fifth piece: the opening event stands before the first
    off = deviations(WHOLE, times, [len(frame) for frame in FRAMES])
    assert off[3:5] == pytest.approx([3.0, 3.0])
    assert sum(off) == pytest.approx(6.0)


def test_chunks_that_come_in_one_read_are_off_by_the_whole_pace() -> None:
    sizes = [len(FRAMES[0]), len(FRAMES[1]) + len(FRAMES[2]), *(len(frame) for frame in FRAMES[3:])]
    times = [0.0, *(place * PACE for place in range(2, len(FRAMES)))]
    assert deviations(WHOLE, times, sizes)[0] == pytest.approx(PACE * 1000)


def test_a_refusal_is_not_a_stream() -> None:
    assert fault_of(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}")[0]
