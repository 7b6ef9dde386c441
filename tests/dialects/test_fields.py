from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.dialects.fields import LARGE, SHORT, read_fields
from trunkline.errors import Malformed

WHITE = st.text(" \t\r\n", max_size=3)
NAMES = st.sampled_from(["model", "mod\\u0065l", "n", "", 'a\\"', "x y", "é", "\\n"])
VALUES = st.sampled_from(
    ["1", "1.5", '"1"', '"model"', "[1, 2]", '{"model": 1, "model": 2}', "null", '",\\"n\\":1"', '" "', "12", "-1"]
)
FIELDS = st.lists(st.tuples(WHITE, NAMES, WHITE, WHITE, VALUES, WHITE), max_size=6)


def written(fields: list[tuple[str, ...]]) -> bytes:
    return b"{%b}" % ",".join(f'{a}"{name}"{b}:{c}{value}{d}' for a, name, b, c, value, d in fields).encode()


@given(fields=FIELDS, before=WHITE, long=st.booleans())
@example(fields=[("", "n", "", "", "12", ""), ("", "n", "", "", "1", "")], before="", long=False)
@example(fields=[("", "n", "", "", "1", ""), ("", "n", "", "", "1", "")], before="", long=False)
def test_a_field_given_twice_is_refused_and_nothing_else_is(
    fields: list[tuple[str, ...]], before: str, long: bool
) -> None:
    text = before.encode() + written(fields) + (b" " * SHORT if long else b"")
    pairs = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        with pytest.raises(Malformed, match="given more than once") as caught:
            read_fields(text)
        assert caught.value.code == "duplicate_field"
        assert names.count(caught.value.param) > 1
    else:
        read = read_fields(text)
        assert list(read) == names
        assert [json.loads(bytes(value), object_pairs_hook=lambda pairs: pairs) for value in read.values()] == [
            value for _, value in pairs
        ]


def test_a_field_within_another_is_named_with_it() -> None:
    with pytest.raises(Malformed, match=r"`stream_options\.x`"):
        read_fields(msgspec.Raw(b'{"x":1,"x":2}'), "stream_options.")


@pytest.mark.parametrize("twice", [False, True])
def test_a_large_body_is_read_with_one_copy_of_it_at_the_most(twice: bool) -> None:
    text = b'{"messages": "%b", "model" : "m"%b}' % (b"x" * 3 * LARGE, b', "model": "m"' if twice else b"")
    tracemalloc.start()
    try:
        if twice:
            with pytest.raises(Malformed, match="given more than once"):
                read_fields(text)
        else:
            assert list(read_fields(text)) == ["messages", "model"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.1 * len(text)
