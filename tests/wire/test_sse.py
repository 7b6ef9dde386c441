from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import Garbled
from trunkline.wire.sse import Framer, data_of

LINES = st.sampled_from(
    [b"data: {}", b"data:x", b"data", b": ping", b"event: e", b"id: 1", b"", b"\xc3\xa9", b"data: a\xe2\x80\xa8b"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS).map(b"".join), max_size=25).map(b"".join)
RAW = st.lists(st.sampled_from([b"\n", b"\r", b"a"]), max_size=25).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(marks)]


def lines_of(data: bytes) -> list[bytes]:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


@given(stream=STREAMS | RAW, places=st.lists(st.integers(0, 10_000), max_size=8))
def test_events_do_not_depend_on_how_the_stream_was_split(stream: bytes, places: list[int]) -> None:
    whole, parts = Framer(), Framer()
    events = whole.feed(stream)
    pieces = [event for part in cut(stream, places) for event in parts.feed(part)]
    assert pieces == events
    assert parts.rest == whole.rest


@given(stream=STREAMS | RAW, places=st.lists(st.integers(0, 10_000), max_size=8))
def test_all_events_and_the_rest_joined_are_the_stream(stream: bytes, places: list[int]) -> None:
    framer = Framer()
    events = [event for part in cut(stream, places) for event in framer.feed(part)]
    assert b"".join(events) + framer.rest == stream


@given(stream=STREAMS | RAW)
def test_events_carry_the_data_that_a_reader_of_the_standard_sees(stream: bytes) -> None:
    expected: list[bytes] = []
    values: list[bytes] = []
    for line in lines_of(stream)[:-1]:
        if not line:
            expected += [b"\n".join(values)] if values else []
            values = []
        field, _, value = line.partition(b":")
        if field == b"data":
            values.append(value.removeprefix(b" "))
    framer = Framer()
    # A CR at the very end may be half of a CR LF, so the event that it would end waits for one more byte.
    events = framer.feed(stream) + framer.feed(b"x")
    got = [data_of(event) for event in events if any(line.split(b":")[0] == b"data" for line in lines_of(event))]
    assert got == expected


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_an_event_is_out_as_soon_as_its_blank_line_is_in(end: bytes) -> None:
    framer = Framer()
    assert framer.feed(b"data: 1" + end) == [b"data: 1" + end]
    assert framer.feed(b"data: 2") == []
    assert framer.feed(end) == [b"data: 2" + end]
    assert framer.rest == b""


def test_one_whole_event_is_handed_on_without_a_copy() -> None:
    event = b'data: {"a": 1}\n\n'
    assert Framer().feed(event)[0] is event


def test_an_event_beyond_the_bound_is_refused() -> None:
    framer = Framer(most=10)
    framer.feed(b"data: 1234")
    with pytest.raises(Garbled, match="larger than 10 bytes"):
        framer.feed(b"5")
    with pytest.raises(Garbled):
        Framer(most=10).feed(b"data: 12345")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"data:  two\n\n", b" two"),
        (b"data: a\ndata:b\ndata\n\n", b"a\nb\n"),
        (b"event: x\nid: 1\ndata: y\n\n", b"y"),
        (b": comment\n\n", b""),
        (b"\n\n", b""),
        (b"\xef\xbb\xbfdata: first\n\n", b"first"),
        (b"database: no\n\n", b""),
        (b"data: [DONE]\r\r", b"[DONE]"),
    ],
)
def test_data_is_read_as_the_standard_says(event: bytes, data: bytes) -> None:
    assert data_of(event) == data
