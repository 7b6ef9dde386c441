"""What a model thought, called and cited: nothing of it is lost, joined or out of order in another dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import openai
import pytest
from openai.lib.streaming._deltas import accumulate_delta
from tests.dialects.ways import There, asked_of, deltas_of

from trunkline.dialects.deltas import (
    Cited,
    Delta,
    Ended,
    Kind,
    PartStarted,
    PartStopped,
    Piece,
    Signed,
    Started,
    Stopped,
)
from trunkline.dialects.dialect import ChatCodec, Dialect
from trunkline.dialects.neutral import Citation, Message, Reasoning, Role, Stop, Text, ToolCall, ToolResult
from trunkline.dialects.openai.answers import read_answer
from trunkline.dialects.openai.codec import read_answer as meter
from trunkline.dialects.openai.read_chat import read_request
from trunkline.dialects.openai.read_events import ChatReader
from trunkline.dialects.openai.write_chat import write_request
from trunkline.dialects.openai.write_events import ChatWriter
from trunkline.dialects.registry import DIALECTS
from trunkline.dialects.translate import Bridge, translate
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import Framer

OPENAI = DIALECTS["openai"]
OTHERS = sorted(name for name, dialect in DIALECTS.items() if dialect.chat is not None and name != "openai")
HI: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKED: dict[str, dict[str, Any]] = {
    "openai": HI,
    "cohere": HI,
    "anthropic": HI | {"max_tokens": 9},
    "responses": {"model": "m", "input": "hi", "stream": True},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
}


def asked(name: str) -> Asked:
    return asked_of(DIALECTS[name], ASKED[name], stream=True)


def codec(dialect: Dialect) -> ChatCodec:
    assert dialect.chat is not None
    return dialect.chat


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


def call(index: int, arguments: str, name: str | None = None) -> bytes:
    made: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if name is not None:
        made |= {"id": f"call_{name}", "type": "function"}
        made["function"]["name"] = name
    return chunk({"tool_calls": [made]})


TAKING_TURNS = [
    call(0, "", "f"),
    call(1, "", "g"),
    call(2, "", "h"),
    call(0, '{"x"'),
    call(1, '{"y":'),
    chunk({"content": "well"}),
    call(0, ":1}"),
    call(1, "2}"),
    chunk({}, "stop"),
    b"data: [DONE]\n\n",
]


def told(deltas: list[Delta]) -> list[tuple[Kind, str, str]]:
    """Each part, as kind, name and text; a part's pieces come between its beginning and its end."""
    parts: dict[int, list[Any]] = {}
    opened: int | None = None
    for one in deltas:
        if isinstance(one, PartStarted):
            assert opened is None
            opened = one.part
            parts[one.part] = [one.kind, one.name, ""]
        elif isinstance(one, Piece):
            assert one.part == opened
            parts[one.part][2] += one.text
        elif isinstance(one, PartStopped):
            assert one.part == opened
            opened = None
    return [(kind, name, text) for kind, name, text in parts.values()]


@pytest.mark.parametrize("door", OTHERS)
def test_calls_whose_pieces_take_turns_are_told_one_after_the_other(door: str) -> None:
    stream = Bridge(asked(door), DIALECTS[door], OPENAI).follow()
    written = b"".join(map(stream.take, TAKING_TURNS)) + stream.end()
    deltas = deltas_of(codec(DIALECTS[door]).reader(), written)
    parts = [(name, json.loads(text or "{}")) for kind, name, text in told(deltas) if kind is Kind.TOOL_CALL]
    assert parts == [("f", {"x": 1}), ("g", {"y": 2}), ("h", {})]
    assert "".join(text for kind, _, text in told(deltas) if kind is Kind.TEXT) == "well"
    # Where the caller forces a tool, OpenAI ends an answer as any other.
    assert [one.stop for one in deltas if isinstance(one, Stopped)] == [Stop.TOOL]


def test_a_forced_call_ends_an_answer_as_a_call_does() -> None:
    made = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [made]}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    assert read_answer(body).candidates[0].stop is Stop.TOOL


@pytest.mark.parametrize(
    ("reason", "stop"), [("model_length", Stop.CONTEXT), ("eos", Stop.END), ("stop_sequence", Stop.SEQUENCE)]
)
def test_vendors_own_reasons_keep_their_meaning(reason: str, stop: Stop) -> None:
    message = {"role": "assistant", "content": "hi"}
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode()
    assert read_answer(body).candidates[0].stop is stop


THOUGHTS: list[Delta] = [
    Started("a", "m", 1),
    PartStarted(0, 0, Kind.REASONING),
    Piece(0, 0, Kind.REASONING, "deep "),
    Piece(0, 0, Kind.REASONING, "thought"),
    Signed(0, 0, "SIG", "anthropic"),
    PartStopped(0, 0),
    PartStarted(0, 1, Kind.REASONING),
    Signed(0, 1, "RED", "anthropic", redacted=True),
    PartStopped(0, 1),
    PartStarted(0, 2, Kind.TEXT),
    Piece(0, 2, Kind.TEXT, "Sky"),
    Cited(0, 2, Citation("answer", 0, 3, title="one", url="https://example.com/1")),
    Cited(0, 2, Citation("answer", 0, 3, title="two", url="https://example.com/2")),
    PartStopped(0, 2),
    Stopped(0, Stop.END),
    Ended(),
]


def test_what_openais_sdk_puts_together_of_a_stream_goes_back_as_it_was_thought() -> None:
    """The helper of the SDK joins lists by the index of their items, and raises where they have none."""
    write = ChatWriter(asked("openai")).write
    stream = b"".join(map(write, THOUGHTS))
    message: dict[Any, Any] = {}
    for event in Framer().feed(stream):
        data = event.removeprefix(b"data: ").strip()
        if data != b"[DONE]":
            parsed = openai.types.chat.ChatCompletionChunk.model_validate_json(data)
            piece: Any = parsed.choices[0].delta.to_dict()
            message = accumulate_delta(message, piece)
    assert [one["url_citation"]["title"] for one in message["annotations"]] == ["one", "two"]
    back = read_request(asked_of(OPENAI, HI | {"messages": [*HI["messages"], message]}))
    assert back.messages[-1].parts == (
        Reasoning("deep thought", "SIG", origin="anthropic"),
        Reasoning(redacted="RED", origin="anthropic"),
        Text("Sky"),
    )
    # Another exchange reads the same, and the thought once.
    deltas = deltas_of(ChatReader(), stream)
    assert [one for one in told(deltas) if one[0] is Kind.REASONING] == [
        (Kind.REASONING, "", "deep thought"),
        (Kind.REASONING, "", ""),
    ]
    assert [one.signature for one in deltas if isinstance(one, Signed)] == ["SIG", "RED"]


TURN: list[Any] = [
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "I look it up.", "signature": ""},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "fine"}]},
]


def sent(thoughts: str, messages: list[Any]) -> tuple[dict[str, Any], list[str]]:
    """What an upstream gets of the second turn, and what is left out."""
    request = {"model": "m", "max_tokens": 9, "messages": messages}
    way = (DIALECTS["anthropic"], OPENAI)
    written = translate(asked_of(way[0], request), way, There(thoughts=thoughts), None, ())
    message: dict[str, Any] = json.loads(written.body)["messages"][1]
    return message, [one.field for one in written.uncarried]


def test_a_thought_goes_back_with_its_call_where_the_provider_needs_it() -> None:
    message, lost = sent("reasoning_content", TURN)
    assert (message["reasoning_content"], lost) == ("I look it up.", [])
    assert "reasoning_content" not in sent("", TURN)[0]
    assert sent("", TURN)[1] == ["messages[1]"]


def test_a_call_without_a_thought_says_so_where_the_provider_needs_it() -> None:
    bare = [TURN[0], TURN[1] | {"content": TURN[1]["content"][1:]}, TURN[2]]
    assert sent("reasoning_content", bare)[0]["reasoning_content"] == ""
    words = [TURN[0], {"role": "assistant", "content": "hm"}, TURN[0]]
    assert "reasoning_content" not in sent("reasoning_content", words)[0]


def test_signed_thoughts_go_back_in_detail() -> None:
    call_made = ToolCall("c1", "f", "{}")
    thoughts = (Reasoning("t", "SIG", origin="openai"), Reasoning("else", "X", origin="gemini"))
    conversation = read_request(asked_of(OPENAI, HI))
    turns = (
        *conversation.messages,
        Message(Role.ASSISTANT, (*thoughts, call_made)),
        Message(Role.USER, (ToolResult("c1", (Text("ok"),)),)),
    )
    written = write_request(msgspec.structs.replace(conversation, messages=turns), There(thoughts="reasoning_details"))
    assert json.loads(written.body)["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "t", "signature": "SIG"}
    ]


CHUNKS: list[Any] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}, {"type": "text", "text": "so"}]},
    {"type": "text", "text": "Hello"},
]
"""As Mistral's models answer that think first."""


def test_content_in_chunks_is_read_with_its_thoughts() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": CHUNKS}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}
    body = json.dumps({"id": "c", "model": "m", "choices": [choice], "usage": usage}).encode()
    assert read_answer(body).candidates[0].parts == (Reasoning("hm, so", origin="openai"), Text("Hello"))
    assert meter(asked("openai"), body).usage == Usage(input=5, output=9)
    uncounted = json.dumps({"choices": [choice]}).encode()
    assert meter(asked("openai"), uncounted).usage.output == 3


def test_a_stream_in_chunks_is_read_with_its_thoughts() -> None:
    events = [*(chunk({"content": [one]}) for one in CHUNKS), chunk({"content": " there"}), chunk({}, "stop")]
    deltas = deltas_of(ChatReader(), b"".join(events))
    assert told(deltas) == [(Kind.REASONING, "", "hm, so"), (Kind.TEXT, "", "Hello there")]
    stream = OPENAI.follow(asked("openai"))
    for event in events[:-1]:
        stream.take(event)
    assert stream.used(complete=False).output == 5


def test_what_mistrals_sdk_writes_is_read() -> None:
    picture = {"type": "image_url", "image_url": "data:image/png;base64,AAAA"}
    paper = {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "a"}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, picture, paper]},
        {"role": "assistant", "content": CHUNKS},
        {"role": "user", "content": "and?"},
    ]
    conversation = read_request(asked_of(OPENAI, HI | {"messages": messages}))
    assert conversation.uncarried == ()
    look, said, _ = conversation.messages
    assert [type(part).__name__ for part in look.parts] == ["Text", "Image", "Document"]
    assert said.parts == (Reasoning("hm, so", origin="openai"), Text("Hello"))


def test_what_filters_say_of_a_stream_is_told_at_its_end() -> None:
    ratings = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW"}]
    candidate = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0, "safetyRatings": ratings}
    stream = Bridge(asked("openai"), OPENAI, DIALECTS["gemini"]).follow()
    written = stream.take(b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n") + stream.end()
    (stopped,) = [one for one in deltas_of(ChatReader(), written) if isinstance(one, Stopped)]
    assert stopped.safety is not None
    assert json.loads(bytes(stopped.safety)) == ratings
    back = codec(DIALECTS["gemini"]).writer(asked("gemini")).write
    told_back = b"".join(map(back, deltas_of(ChatReader(), written)))
    assert json.loads(Framer().feed(told_back)[-1].removeprefix(b"data: "))["candidates"][0]["safetyRatings"] == ratings
