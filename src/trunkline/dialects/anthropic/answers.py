"""Buffered answers from and to the neutral form. Source: Claude API reference, "Create a message"; "Citations"."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic.codec import DIALECT
from trunkline.dialects.anthropic.usage import as_billed, read_fields, write_usage
from trunkline.dialects.anthropic.write_messages import as_object
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.neutral import (
    Answer,
    Candidate,
    Citation,
    Part,
    Reasoning,
    Refused,
    Stop,
    Text,
    ToolCall,
    own_word,
    seal,
)
from trunkline.errors import Garbled
from trunkline.messages import Asked

STOPS: Final = {
    "end_turn": Stop.END,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.CONTEXT,
    "stop_sequence": Stop.SEQUENCE,
    "tool_use": Stop.TOOL,
    "pause_turn": Stop.PAUSED,
    "refusal": Stop.REFUSED,
}
REASONS: Final = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.CONTEXT: "model_context_window_exceeded",
    Stop.SEQUENCE: "stop_sequence",
    Stop.TOOL: "tool_use",
    Stop.PAUSED: "pause_turn",
    Stop.FILTERED: "refusal",
    Stop.REFUSED: "refusal",
    Stop.OTHER: "end_turn",
}
UNITS: Final = {
    "char_location": ("characters", "start_char_index", "end_char_index"),
    "page_location": ("pages", "start_page_number", "end_page_number"),
    "content_block_location": ("blocks", "start_block_index", "end_block_index"),
}
BY_UNIT: Final = {unit: (kind, start, end) for kind, (unit, start, end) in UNITS.items()}


class ReadCitation(msgspec.Struct, frozen=True):
    """What a text rests on: a place in a document, on the web, or among search results."""

    type: str = ""
    cited_text: str | None = None
    document_index: int | None = None
    document_title: str | None = None
    file_id: str | None = None
    title: str | None = None
    url: str | None = None
    source: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None


class ReadBlock(msgspec.Struct, frozen=True):
    """A block of the answer, or its beginning in a stream."""

    type: str
    text: str | None = None
    citations: tuple[ReadCitation, ...] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = ABSENT


class StopDetails(msgspec.Struct, frozen=True):
    """Why the model refused."""

    explanation: str | None = None


class ReadMessage(msgspec.Struct, frozen=True):
    """The answer, whole."""

    content: tuple[ReadBlock, ...]
    id: str = ""
    model: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(ReadMessage).decode
_encode = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """Read a buffered answer.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        message = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is no message", inside=f"no message: {error}", said=said) from error
    parts = [part for block in message.content if (part := _part(block)) is not None]
    if message.stop_details is not None and message.stop_details.explanation:
        parts.append(Refused(message.stop_details.explanation))
    stop = STOPS.get(message.stop_reason or "end_turn", Stop.OTHER)
    return Answer(
        id=message.id,
        model=message.model,
        candidates=(Candidate(tuple(parts), stop, message.stop_sequence, reason=own_word(stop, message.stop_reason)),),
        usage=as_billed(read_fields(message.usage)),
    )


def _part(block: ReadBlock) -> Part | None:
    match block.type:
        case "text":
            return Text(block.text or "", citations=tuple(map(read_citation, block.citations or ())))
        case "thinking":
            return Reasoning(block.thinking or "", block.signature, origin=DIALECT)
        case "redacted_thinking":
            return Reasoning(redacted=block.data, origin=DIALECT)
        case "tool_use":
            arguments = bytes(block.input)
            return ToolCall(block.id, block.name, "{}" if arguments in NOTHING else arguments.decode())
    return None


def read_citation(cited: ReadCitation) -> Citation:
    """What a text rests on."""
    unit, start, end = UNITS.get(cited.type, ("blocks", "start_block_index", "end_block_index"))
    return Citation(
        unit=unit,
        start=getattr(cited, start),
        end=getattr(cited, end),
        quote=cited.cited_text,
        title=cited.document_title or cited.title,
        url=cited.url or cited.source,
        document=cited.document_index,
        file_id=cited.file_id,
    )


def write_answer(asked: Asked, answer: Answer) -> bytes:
    """Write a buffered answer for its caller; Anthropic's dialect has one candidate."""
    candidate = answer.candidates[0] if answer.candidates else Candidate()
    message: dict[str, Any] = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model or asked.model,
        "content": [_block(part) for part in candidate.parts],
        "stop_reason": reason(candidate.stop, candidate.parts),
        "stop_sequence": candidate.sequence,
        "usage": write_usage(answer.usage),
    }
    return _encode(message)


def reason(stop: Stop, parts: tuple[Part, ...]) -> str:
    """Why an answer ended; some providers tell neither calls nor refusals apart from a plain end."""
    if stop is Stop.END and any(isinstance(part, ToolCall) for part in parts):
        return REASONS[Stop.TOOL]
    if stop is Stop.END and any(isinstance(part, Refused) for part in parts):
        return REASONS[Stop.REFUSED]
    return REASONS[stop]


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Reasoning():
            if part.redacted is not None:
                return {"type": "redacted_thinking", "data": seal(part.origin, part.redacted, DIALECT)}
            signature = "" if part.signature is None else seal(part.origin, part.signature, DIALECT)
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": as_object(part.arguments)}
        case Text():
            citations = [write_citation(one) for one in part.citations]
            return {"type": "text", "text": part.text, "citations": citations or None}
        case _:
            return {"type": "text", "text": getattr(part, "text", ""), "citations": None}


def write_citation(citation: Citation) -> dict[str, Any]:
    """What a text rests on, as the kind of place that it is."""
    quote = citation.quote or ""
    if citation.url is not None:
        at = {"url": citation.url, "title": citation.title, "encrypted_index": ""}
        return {"type": "web_search_result_location", "cited_text": quote, **at}
    kind, start, end = BY_UNIT.get(citation.unit, BY_UNIT["characters"])
    return {
        "type": kind,
        "cited_text": quote,
        "document_index": citation.document or 0,
        "document_title": citation.title,
        "file_id": citation.file_id,
        start: citation.start or 0,
        end: citation.end or 0,
    }
