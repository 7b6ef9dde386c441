"""Where in an answer stands what rests on a source, when only the place in the source is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.anthropic.answers import read_answer
from trunkline.dialects.anthropic.events import MessageReader
from trunkline.dialects.dialect import ChatCodec, Dialect
from trunkline.dialects.registry import ALL
from trunkline.messages import Asked, Operation

BLOCKS = (("Sources say: ", False), ("the mÖon is far", True), (", and ", False), ("so is Mars.", True))
TEXT = "".join(text for text, _ in BLOCKS)
SEARCHED = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "far"}
MESSAGE: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
ASKED = Asked(operation=Operation.CHAT, dialect="", model="claude", fields={}, wants_usage=True)
WRITERS = {dialect.name: dialect for dialect in ALL if dialect.chat is not None and dialect.name != "anthropic"}


def message() -> bytes:
    content = [{"type": "text", "text": text, "citations": [SEARCHED] if cited else None} for text, cited in BLOCKS]
    usage = {"input_tokens": 1, "output_tokens": 1}
    return json.dumps(MESSAGE | {"content": content, "stop_reason": "end_turn", "usage": usage}).encode()


def events() -> list[bytes]:
    told: list[dict[str, Any]] = [{"type": "message_start", "message": MESSAGE}]
    for index, (text, cited) in enumerate(BLOCKS):
        told.append({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}})
        if cited:
            delta = {"type": "citations_delta", "citation": SEARCHED}
            told.append({"type": "content_block_delta", "index": index, "delta": delta})
        for piece in (text[:4], text[4:]):
            delta = {"type": "text_delta", "text": piece}
            told.append({"type": "content_block_delta", "index": index, "delta": delta})
        told.append({"type": "content_block_stop", "index": index})
    told += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told]


def chat_of(dialect: Dialect) -> ChatCodec:
    assert dialect.chat is not None
    return dialect.chat


def written(dialect: Dialect, *, stream: bool) -> list[Any]:
    """What was written, as JSON: the answer, or its events."""
    chat = chat_of(dialect)
    if not stream:
        return [json.loads(chat.write_answer(ASKED, read_answer(message())))]
    reader, writer = MessageReader(), chat.writer(ASKED)
    out = b"".join(writer.write(delta) for event in events() for delta in reader.take(event))
    lines = [line.removeprefix(b"data: ") for line in out.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def found(told: Any, name: str) -> list[Any]:
    """Every value of a field of that name, however deep."""
    if isinstance(told, list):
        return [value for one in told for value in found(one, name)]
    if not isinstance(told, dict):
        return []
    own = [told[name]] if told.get(name) is not None else []
    return own + [value for one in told.values() for value in found(one, name)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_the_piece_that_rests_on_a_source_is_told_where_it_stands(name: str, stream: bool) -> None:
    told = written(WRITERS[name], stream=stream)
    cited = [text for text, rests in BLOCKS if rests]
    match name:
        case "openai":
            places = [(one["start_index"], one["end_index"]) for one in found(told, "url_citation")]
            assert [TEXT[start:end] for start, end in places] == cited
        case "responses":
            annotations = (
                found(told, "annotation") if stream else [one for some in found(told, "annotations") for one in some]
            )
            places = [(one["start_index"], one["end_index"]) for one in annotations]
            assert places == [(0, len(text)) for text in cited]
        case "cohere":
            said = found(told, "citations")
            said = [one for one in said if isinstance(one, dict)] if stream else said[0]
            assert [(one["start"], one["end"]) for one in said] == [(0, len(text)) for text in cited]
        case _:
            (grounding,) = found(told, "groundingSupports")
            segments = [one["segment"] for one in grounding]
            assert [one["text"] for one in segments] == cited
            raw = TEXT.encode()
            assert [raw[one["startIndex"] : one["endIndex"]].decode() for one in segments] == cited
