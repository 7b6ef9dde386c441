"""Buffered answers from and to the neutral form. Source: OpenAI API reference, "The response object"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.neutral import (
    Answer,
    Candidate,
    Citation,
    Likely,
    Part,
    Reasoning,
    Refused,
    Stop,
    Text,
    Token,
    ToolCall,
)
from trunkline.dialects.responses.errors import failure_of
from trunkline.dialects.responses.thoughts import BETWEEN, of_provider, write_thought
from trunkline.dialects.responses.usage import read_usage, write_usage
from trunkline.dialects.unanswered import refuse_unanswered
from trunkline.errors import Garbled
from trunkline.messages import Asked

INCOMPLETE: Final = {"max_output_tokens": Stop.LENGTH, "content_filter": Stop.FILTERED}
REASONS: Final = {
    Stop.LENGTH: "max_output_tokens",
    Stop.CONTEXT: "max_output_tokens",
    Stop.FILTERED: "content_filter",
    Stop.REFUSED: "content_filter",
}
ECHOED: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What an answer repeats of its request, and what it says where that said nothing."""


class Likelihood(msgspec.Struct, frozen=True):
    """A token with its log-probability."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[Likelihood, ...] | None = None


class Annotation(msgspec.Struct, frozen=True):
    """What a text rests on."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    file_id: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class ReadContent(msgspec.Struct, frozen=True):
    """A part of an item."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: tuple[Annotation, ...] | None = None
    logprobs: tuple[Likelihood, ...] | None = None


class ReadItem(msgspec.Struct, frozen=True):
    """An item of the answer, or its beginning in a stream."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: tuple[ReadContent, ...] | None = None
    summary: tuple[ReadContent, ...] | None = None
    encrypted_content: str | None = None


class ReadKind(msgspec.Struct, frozen=True):
    """What tells one item from another."""

    type: str = ""


class Details(msgspec.Struct, frozen=True):
    """Why an answer is not complete."""

    reason: str | None = None


class ReadResponse(msgspec.Struct, frozen=True):
    """The answer, whole, or as far as an event of a stream has it."""

    id: str = ""
    model: str = ""
    created_at: float = 0
    status: str | None = None
    incomplete_details: Details | None = None
    error: msgspec.Raw = ABSENT
    output: tuple[msgspec.Raw, ...] = ()
    usage: msgspec.Raw = ABSENT
    service_tier: str | None = None


KINDS: Final = frozenset({"message", "function_call", "reasoning"})

_decode = msgspec.json.Decoder(ReadResponse).decode
_decode_kind = msgspec.json.Decoder(ReadKind).decode
_decode_item = msgspec.json.Decoder(ReadItem).decode
_encode = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """Read a buffered answer.

    Raises:
        Garbled: it is not what the reference describes, or says that it failed.
        Declined: it is an error in place of an answer.
    """
    try:
        read = _decode(body)
        items = [_decode_item(raw) for raw in read.output if _decode_kind(raw).type in KINDS]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is no response", inside=f"no response: {error}", said=said) from error
    if not read.output:
        refuse_unanswered(body, "output")
    if read.status in ("failed", "cancelled"):
        failure = failure_of(read.error)
        raise Garbled("the answer failed", inside=f"{read.status}: {failure.kind}", said=failure.message)
    parts = tuple(part for item in items for part in _parts(item))
    tokens = tuple(token for item in items for part in item.content or () for token in read_tokens(part.logprobs))
    return Answer(
        id=read.id,
        model=read.model,
        created=int(read.created_at),
        candidates=(Candidate(parts, stop_of(read, called=_calls(parts)), tokens=tokens or None),),
        usage=read_usage(read.usage),
        service_tier=read.service_tier,
    )


def _calls(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ToolCall) for part in parts)


def stop_of(read: ReadResponse, *, called: bool) -> Stop:
    """Why an answer ended; one that calls tools and is complete waits for their results."""
    if read.status == "incomplete":
        reason = read.incomplete_details.reason if read.incomplete_details is not None else None
        return INCOMPLETE.get(reason or "", Stop.OTHER)
    return Stop.TOOL if called else Stop.END


def _parts(item: ReadItem) -> Iterator[Part]:
    if item.type == "function_call":
        yield ToolCall(item.call_id or "", item.name or "", item.arguments or "")
    elif item.type == "reasoning":
        text = BETWEEN.join(one.text or "" for one in item.summary or item.content or ())
        if item.encrypted_content:
            yield of_provider(item.id or "", item.encrypted_content, text)
        elif text:
            yield Reasoning(text)
    else:
        for one in item.content or ():
            if one.refusal is not None:
                yield Refused(one.refusal)
            elif one.text:
                yield Text(one.text, citations=tuple(read_citation(cited) for cited in one.annotations or ()))


def read_citation(cited: Annotation) -> Citation:
    """What an annotation says of a text."""
    return Citation(
        "answer",
        cited.start_index,
        cited.end_index,
        title=cited.title or cited.filename,
        url=cited.url,
        file_id=cited.file_id,
    )


def read_tokens(logprobs: tuple[Likelihood, ...] | None) -> tuple[Token, ...]:
    """The tokens of a text with their log-probabilities."""
    return tuple(
        Token(
            Likely(one.token, one.logprob, one.bytes),
            tuple(Likely(other.token, other.logprob, other.bytes) for other in one.top_logprobs or ()),
        )
        for one in logprobs or ()
    )


def write_answer(asked: Asked, answer: Answer) -> bytes:
    """Write a buffered answer for its caller."""
    candidate = answer.candidates[0] if answer.candidates else Candidate()
    refused = any(isinstance(part, Refused) for part in candidate.parts)
    status, details = ending(candidate.stop, refused=refused, own=candidate.reason)
    told = response(asked, answer.id, answer.model, answer.created)
    told |= {
        "status": status,
        "incomplete_details": details,
        "output": _items(answer.id, candidate, status),
        "usage": None if answer.usage is None else write_usage(answer.usage),
    }
    if answer.service_tier is not None:
        told["service_tier"] = answer.service_tier
    return _encode(told)


def response(asked: Asked, answer_id: str, model: str, created: int) -> dict[str, Any]:
    """A response that has only begun: what it repeats of the request, and nothing said yet."""
    told: dict[str, Any] = {
        "id": answer_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model or asked.model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
    }
    for name, otherwise in ECHOED.items():
        raw = asked.fields.get(name)
        told[name] = otherwise if raw is None or bytes(raw) in NOTHING else raw
    return told


def ending(stop: Stop, *, refused: bool, own: str | None = None) -> tuple[str, dict[str, str] | None]:
    """Status and details of an answer that ended; one that was refused in words is complete.

    One that ended for a reason that no other dialect has is not: `own` is the provider's word for it.
    """
    reason = own or Stop.OTHER.value if stop is Stop.OTHER else REASONS.get(stop)
    if reason is None or (stop is Stop.REFUSED and refused):
        return "completed", None
    return "incomplete", {"reason": reason}


def item_id(kind: str, answer_id: str, index: int) -> str:
    """The id of an item, the same whenever the same answer is written."""
    return f"{kind}_{answer_id}_{index}"


def _items(answer_id: str, candidate: Candidate, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    words: list[dict[str, Any]] | None = None
    tokens = write_tokens(candidate.tokens or ())
    for part in candidate.parts:
        if isinstance(part, Text | Refused):
            if words is None:
                words = []
                items.append(message_item(item_id("msg", answer_id, len(items)), words, status))
            words.append(_words(part, tokens))
            tokens = [] if isinstance(part, Text) else tokens
        elif isinstance(part, ToolCall):
            words = None
            own = item_id("fc", answer_id, len(items))
            items.append(call_item(own, (part.id, part.name), part.arguments or "{}", status))
        elif isinstance(part, Reasoning):
            words = None
            items.append(write_thought(part, item_id("rs", answer_id, len(items))))
    return items


def _words(part: Text | Refused, tokens: list[dict[str, Any]]) -> dict[str, Any]:
    if isinstance(part, Refused):
        return {"type": "refusal", "refusal": part.text}
    annotations = [
        made for one in part.citations if (made := write_citation(one.placed(0, len(part.text)))) is not None
    ]
    return {"type": "output_text", "text": part.text, "annotations": annotations, "logprobs": tokens}


def message_item(own_id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """An item with what the model says."""
    return {"id": own_id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(own_id: str, call: tuple[str, str], arguments: str, status: str) -> dict[str, Any]:
    """An item with a call, of which id and name are given."""
    return {
        "id": own_id,
        "type": "function_call",
        "call_id": call[0],
        "name": call[1],
        "arguments": arguments,
        "status": status,
    }


def write_citation(citation: Citation) -> dict[str, Any] | None:
    """An annotation; None for what stands neither at an address nor in a file, for which there is none."""
    told = citation.unit == "answer" and citation.end is not None
    if citation.url is not None:
        place = {"start_index": citation.start or 0, "end_index": citation.end} if told else {}
        return {"type": "url_citation", "url": citation.url, "title": citation.title or ""} | place
    if citation.file_id is not None:
        place = {"index": citation.end} if told else {}
        return {"type": "file_citation", "file_id": citation.file_id, "filename": citation.title or ""} | place
    return None


def write_tokens(tokens: tuple[Token, ...]) -> list[dict[str, Any]]:
    """The list in `logprobs`."""
    return [_likely(one.said) | {"top_logprobs": [_likely(other) for other in one.instead]} for one in tokens]


def _likely(likely: Likely) -> dict[str, Any]:
    return {"token": likely.token, "logprob": likely.logprob, "bytes": likely.bytes or []}
