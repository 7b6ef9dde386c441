"""OpenAI's chat from and to the neutral form: what was asked and answered comes out as it went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.ways import There, deltas_of

from trunkline.dialects.deltas import Delta, Ended, Kind, PartStarted, PartStopped, Piece, Started, Stopped, Used
from trunkline.dialects.neutral import (
    Choice,
    Image,
    Inline,
    Reasoning,
    Role,
    Source,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Trouble,
)
from trunkline.dialects.openai.answers import read_answer, write_answer
from trunkline.dialects.openai.codec import decode
from trunkline.dialects.openai.errors import read_failure
from trunkline.dialects.openai.read_chat import read_request
from trunkline.dialects.openai.read_events import ChatReader
from trunkline.dialects.openai.write_chat import write_request
from trunkline.dialects.openai.write_events import ChatWriter
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Asked, Operation, Usage

GOLDEN = Path(__file__).parents[1] / "golden" / "openai"


def asked(**fields: object) -> Asked:
    whole = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return decode(Operation.CHAT, json.dumps(whole).encode())


def again(request: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    written = write_request(read_request(decode(Operation.CHAT, json.dumps(request).encode())), There())
    return json.loads(written.body), [one.field for one in written.uncarried]


def deltas(stream: bytes) -> list[Delta]:
    return deltas_of(ChatReader(), stream)


@pytest.mark.parametrize("name", ["chat_request", "chat_request_stream", "chat_request_tools"])
def test_a_golden_request_comes_out_as_it_went_in(name: str) -> None:
    request = json.loads((GOLDEN / f"{name}.json").read_text())
    limits = {"max_completion_tokens": 77}
    written, lost = again(request | {"max_tokens": 77})
    assert lost == []
    request["stream_options"] = {"include_usage": True}
    for message in request["messages"]:
        message["role"] = message["role"].replace("developer", "system")
    wanted = request | {"model": "there"} | limits
    if not request.get("stream"):
        del wanted["stream_options"]
        wanted.pop("stream", None)
    assert written == wanted


def test_a_conversation_with_tools_is_read_into_turns() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    conversation = read_request(
        asked(
            messages=[
                {"role": "system", "content": "be brief"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [call, call | {"id": "c2"}],
                    "reasoning_content": "hm",
                },
                {"role": "tool", "tool_call_id": "c1", "content": "one"},
                {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
                {"role": "user", "content": "and?"},
            ],
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"x": 1.50}, "strict": True}}],
            tool_choice={"type": "function", "function": {"name": "f"}},
        )
    )
    assert [text.text for text in conversation.system] == ["be brief"]
    look, called, results, and_then = conversation.messages
    assert isinstance(look.parts[1], Image)
    assert look.parts[1].source == Source("image/png", Inline(b"AAAA"))
    assert called.parts == (Reasoning("hm", origin="openai"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "f", '{"a":1}'))  # fmt: skip  # noqa: E501
    assert (results.role, results.parts) == (Role.USER, (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),))))  # fmt: skip  # noqa: E501
    assert and_then.parts == (Text("and?"),)
    assert conversation.tool_choice is not None
    assert (conversation.tool_choice.choice, conversation.tool_choice.names) == (Choice.NAMED, ("f",))
    assert bytes(conversation.tools[0].schema or b"") == b'{"x": 1.5}'


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"logit_bias": {"1": 2}}, ["logit_bias"]),
        ({"web_search_options": {}}, ["web_search_options"]),
        ({"store": True}, ["store"]),
        ({"store": False, "modalities": ["text"], "logit_bias": None}, []),
        ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, ["modalities", "audio"]),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, ["tools[0]"]),
        ({"messages": [{"role": "user", "content": "x", "shout": 1}]}, ["messages[0].shout"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]},
            ["messages[0].content[0].y"],
        ),
        ({"top_k": 3}, ["top_k"]),
    ],
)
def test_what_only_openai_has_is_named_with_its_place(fields: dict[str, Any], lost: list[str]) -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    assert again(request)[1] == lost


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"tools": {"a": 1}}, "tools"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_request(asked(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["chat_completion", "chat_completion_tools"])
def test_a_golden_answer_comes_out_as_it_went_in(name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    written = json.loads(write_answer(asked(), read_answer(json.dumps(golden).encode())))
    for choice in golden["choices"]:
        choice["message"].setdefault("refusal", None)
        choice["message"].pop("annotations", None)
    assert written["choices"] == golden["choices"]
    assert (written["id"], written["model"], written["created"]) == (golden["id"], golden["model"], golden["created"])
    for kind in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert written["usage"][kind] == golden["usage"][kind]


@pytest.mark.parametrize("name", ["chat_stream_usage", "chat_stream_tools"])
def test_a_golden_stream_tells_the_same_when_it_is_written_again(name: str) -> None:
    stream = (GOLDEN / f"{name}.sse").read_bytes()
    told = deltas(stream)
    writer = ChatWriter(asked(stream=True, stream_options={"include_usage": True}))
    written = b"".join(map(writer.write, told))
    assert deltas(written) == told
    assert written.endswith(b"data: [DONE]\n\n")


def test_parallel_calls_with_arguments_in_pieces_become_parts_in_order() -> None:
    def piece(**delta: object) -> bytes:
        chunk = {"id": "x", "model": "m", "created": 1, "choices": [{"index": 0, "delta": delta}]}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    stream = piece(role="assistant", content="hm")
    stream += piece(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}])
    stream += piece(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}])
    stream += piece(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}])
    stream += piece(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}])
    stream += b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    stream += b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
    assert deltas(stream) == [
        Started("x", "m", 1),
        PartStarted(0, 0, Kind.TEXT),
        Piece(0, 0, Kind.TEXT, "hm"),
        PartStopped(0, 0),
        PartStarted(0, 1, Kind.TOOL_CALL, "a", "f"),
        Piece(0, 1, Kind.TOOL_CALL, '{"x"'),
        Piece(0, 1, Kind.TOOL_CALL, ":1}"),
        PartStopped(0, 1),
        PartStarted(0, 2, Kind.TOOL_CALL, "b", "g"),
        Piece(0, 2, Kind.TOOL_CALL, "{}"),
        PartStopped(0, 2),
        Stopped(0, Stop.TOOL),
        Used(Usage(input=3, output=2)),
        Ended(),
    ]


def test_what_is_no_chunk_is_told_apart() -> None:
    with pytest.raises(Garbled):
        deltas(b'data: {"choices": 1}\n\n')
    with pytest.raises(Garbled):
        read_answer(b'{"choices": [{}]}')


@pytest.mark.parametrize(
    ("status", "error", "trouble"),
    [
        (400, {"message": "x", "code": "context_length_exceeded"}, Trouble.CONTEXT),
        (400, {"message": "x", "type": "exceed_context_size_error", "code": 400}, Trouble.CONTEXT),
        (400, {"message": "x", "code": "content_filter"}, Trouble.FILTERED),
        (400, {"message": "x", "type": "invalid_request_error"}, Trouble.INVALID),
        (429, {"message": "x", "code": "insufficient_quota"}, Trouble.QUOTA),
        (429, {"message": "x", "type": "tokens"}, Trouble.RATE),
        (503, "no", Trouble.OVERLOADED),
        (500, None, Trouble.SERVER),
    ],
)
def test_an_error_means_the_same_whichever_words_it_uses(status: int, error: object, trouble: Trouble) -> None:
    assert read_failure(status, json.dumps({"error": error}).encode()).trouble is trouble
