import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.openai.codec import decode, encode, estimate, read_answer
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Operation, Usage

CHAT = {"model": "general-chat", "messages": [{"role": "user", "content": "hello"}]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


def body(**fields: object) -> bytes:
    return json.dumps({**CHAT, **fields}).encode()


def sent(raw: bytes, instructions: str | None = None) -> dict[str, object]:
    written: dict[str, object] = json.loads(encode(decode(Operation.CHAT, raw), "upstream-name", instructions))
    return written


@given(
    st.dictionaries(
        st.text(min_size=1).filter(
            lambda key: (
                key
                not in {
                    "model",
                    "messages",
                    "stream",
                    "n",
                    "user",
                    "stream_options",
                    "max_tokens",
                    "max_completion_tokens",
                }
            )
        ),
        json_values,
        max_size=4,
    )
)
def test_fields_that_trunkline_does_not_know_go_on_as_they_were(extra: dict[str, object]) -> None:
    assert sent(body(**extra)) == {**CHAT, **extra, "model": "upstream-name"}


def test_numbers_and_escapes_inside_fields_keep_their_bytes() -> None:
    raw = (
        b'{"model":"m","messages":[{"role":"user","content":"\\u00e9\\/"}],'
        b'"temperature":0.10000000000000000555,"seed":1e3}'
    )
    written = encode(decode(Operation.CHAT, raw), "x", None)
    assert b'"temperature":0.10000000000000000555' in written
    assert b'"content":"\\u00e9\\/"' in written
    assert b'"seed":1e3' in written


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"model":"a","model":"b","messages":[]}', "model"),
        (b'{"model":"a","messages":[],"mod\\u0065l":"b"}', "model"),
        (b'{"model": "a", "messages": [], "messages": []}', "messages"),
        (b'{"model":"m","messages":[],"max_tokens":1,"max_tokens":1}', "max_tokens"),
        (
            b'{"model":"m","messages":[],"stream_options":{"include_usage":true,"include_usage":false}}',
            "stream_options.include_usage",
        ),
        (
            b'{"model":"m","messages":[],"metadata":{"end_customer":"a","end_customer":"b"}}',
            "metadata.end_customer",
        ),
    ],
)
def test_a_field_given_twice_is_refused(raw: bytes, param: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(Operation.CHAT, raw)
    assert (caught.value.code, caught.value.param) == ("duplicate_field", param)


@pytest.mark.parametrize("depth", [1_100, 100_000, 2_000_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
def test_json_beyond_every_sensible_depth_is_refused(opening: bytes, closing: bytes, depth: int) -> None:
    raw = b'{"model":"m","messages":[' + opening * depth + b"1" + closing * depth + b"]}"
    with pytest.raises(Malformed) as caught:
        decode(Operation.CHAT, raw)
    assert caught.value.code == "nested_too_deeply"


def test_an_answer_nested_too_deeply_is_garbled() -> None:
    with pytest.raises(Garbled):
        read_answer(decode(Operation.CHAT, body()), b'{"x":' + b"[" * 100_000)


def test_instructions_go_before_the_callers_messages() -> None:
    written = sent(body(), "Be brief.")
    assert written["messages"] == [{"role": "system", "content": "Be brief."}, *CHAT["messages"]]


def test_instructions_stand_alone_when_there_are_no_messages() -> None:
    written = sent(b'{"model":"m","messages":[ ]}', "Be brief.")
    assert written["messages"] == [{"role": "system", "content": "Be brief."}]


@pytest.mark.parametrize(
    ("given_options", "sent_options"),
    [
        (None, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": None, "other": 1}, {"include_usage": True, "other": 1}),
        ({"include_usage": True}, {"include_usage": True}),
    ],
)
def test_a_stream_always_asks_for_usage_and_keeps_its_other_options(
    given_options: object, sent_options: object
) -> None:
    written = sent(body(stream=True, stream_options=given_options))
    assert written["stream_options"] == sent_options


def test_a_buffered_call_does_not_get_stream_options() -> None:
    assert "stream_options" not in sent(body())


@pytest.mark.parametrize(
    ("raw", "says", "param"),
    [
        (b"", "not valid JSON", None),
        (b'{"model": "m", "messages": [}', "byte 28", None),
        (b"[]", "Expected `object`", None),
        (b'{"model": 3, "messages": []}', "Expected `str`", "model"),
        (b'{"messages": []}', "no `model`", "model"),
        (b'{"model": "m"}', "no `messages`", "messages"),
        (b'{"model": "m", "messages": "hi"}', "must be a list", "messages"),
        (b'{"model": "m", "messages": [], "n": 0}', "1 or more", "n"),
        (b'{"model": "m", "messages": [], "max_tokens": -1}', "negative", "max_tokens"),
        (b'{"model": "m", "messages": [], "stream": "yes"}', "Expected `bool", "stream"),
        (b'{"model": "m", "messages": ["\xff"]}', "not valid UTF-8 at byte 29", None),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_what_and_where(raw: bytes, says: str, param: str | None) -> None:
    with pytest.raises(Malformed) as refused:
        decode(Operation.CHAT, raw)
    assert says in refused.value.message
    assert refused.value.param == param


def test_usage_is_the_upstreams_own_by_kind() -> None:
    asked = decode(Operation.CHAT, body())
    answer = read_answer(
        asked,
        msgspec.json.encode(
            {
                "model": "served",
                "choices": [],
                "usage": {
                    "prompt_tokens": 20,
                    "completion_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 3},
                },
            }
        ),
    )
    assert answer.model == "served"
    assert answer.usage == Usage(input=20, cached=12, output=7, reasoning=3)


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": -1}, {"prompt_tokens": "12"}, 7, {"completion_tokens": 3}]
)
def test_usage_that_cannot_be_believed_is_counted_and_marked_estimated(usage: object) -> None:
    asked = decode(Operation.CHAT, body())
    answer = read_answer(asked, json.dumps({"choices": [{"message": {"content": "x" * 40}}], "usage": usage}).encode())
    assert answer.usage == Usage(input=10, output=10, estimated=True)


def test_an_answer_that_is_not_json_is_garbled() -> None:
    with pytest.raises(Garbled):
        read_answer(decode(Operation.CHAT, body()), b"<html>")


@pytest.mark.parametrize(
    ("fields", "end_customer"),
    [
        ({}, None),
        ({"user": "c-1", "metadata": {"end_customer": "c-2"}}, "c-1"),
        ({"safety_identifier": "c-3"}, "c-3"),
        ({"metadata": {"end_customer": "c-4", "other": "x"}}, "c-4"),
        ({"metadata": {"other": 7}}, None),
        ({"metadata": "free"}, None),
    ],
)
def test_the_end_customer_is_read_from_where_callers_put_it(
    fields: dict[str, object], end_customer: str | None
) -> None:
    assert decode(Operation.CHAT, body(**fields)).end_customer == end_customer


def test_embeddings_are_read_and_written() -> None:
    raw = b'{"model":"search-vectors","input":["a","b"],"encoding_format":"base64"}'
    asked = decode(Operation.EMBEDDINGS, raw)
    assert asked.output_limit == 0
    assert json.loads(encode(asked, "minilm", "ignored")) == {
        "model": "minilm",
        "input": ["a", "b"],
        "encoding_format": "base64",
    }
    assert estimate(asked, 0).input > 0
