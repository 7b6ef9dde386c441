from __future__ import annotations

import pytest
from bench.question import PIECES
from bench.streams import fault_of
from bench.upstream import FRAMES

WHOLE = b"".join(FRAMES)


def test_a_whole_stream_has_no_fault_and_every_event_is_counted() -> None:
    assert fault_of(WHOLE) == ("", len(PIECES) + 4)  # opening, closing, usage, [DONE]


@pytest.mark.parametrize("lost", range(len(FRAMES)))
def test_a_stream_that_lost_a_frame_is_not_whole(lost: int) -> None:
    assert fault_of(b"".join(frame for place, frame in enumerate(FRAMES) if place != lost))[0]


def test_a_stream_cut_at_its_very_end_is_not_whole() -> None:
    assert fault_of(WHOLE[:-1])[0]


def test_a_refusal_is_not_a_stream() -> None:
    assert fault_of(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}")[0]
