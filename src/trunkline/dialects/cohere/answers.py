"""Buffered answers from and to the neutral form. Source: Cohere API reference, "Chat" of version 2."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from trunkline.dialects.cohere.codec import DIALECT
from trunkline.dialects.cohere.usage import read_usage, write_usage
from trunkline.dialects.fields import ABSENT
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
    own_word,
)
from trunkline.errors import Garbled
from trunkline.messages import Asked

STOPS: Final = {
    "COMPLETE": Stop.END,
    "STOP_SEQUENCE": Stop.SEQUENCE,
    "MAX_TOKENS": Stop.LENGTH,
    "TOOL_CALL": Stop.TOOL,
    "ERROR_LIMIT": Stop.CONTEXT,
    "ERROR_TOXIC": Stop.FILTERED,
}
REASONS: Final = {
    Stop.END: "COMPLETE",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.CONTEXT: "MAX_TOKENS",
    Stop.TOOL: "TOOL_CALL",
    Stop.SEQUENCE: "STOP_SEQUENCE",
    Stop.FILTERED: "ERROR_TOXIC",
    Stop.REFUSED: "COMPLETE",
    Stop.PAUSED: "COMPLETE",
    Stop.OTHER: "ERROR",
}
BROKEN: Final = ("ERROR", "TIMEOUT")
"""Reasons with which an answer ends that did not come to its end."""
OF_THOUGHT: Final = "THINKING_CONTENT"


class Function(msgspec.Struct, frozen=True):
    """Of a tool call, what is called."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, frozen=True):
    """A tool call, or a piece of one."""

    id: str | None = None
    function: Function | None = None


class Document(msgspec.Struct, frozen=True):
    """Of a document that is cited, what tells where it is."""

    title: str | None = None
    url: str | None = None


class CitedSource(msgspec.Struct, frozen=True):
    """What is cited: a document of the request, or what a tool said."""

    id: str | None = None
    document: Document | None = None


class Cited(msgspec.Struct, frozen=True):
    """One of `citations`: what a piece of the answer rests on, by its characters."""

    start: int | None = None
    end: int | None = None
    type: str | None = None
    sources: tuple[CitedSource, ...] | None = None


class Likelihood(msgspec.Struct, frozen=True):
    """A piece of the text with the log-probabilities of its tokens."""

    text: str | None = None
    logprobs: tuple[float, ...] | None = None


class Content(msgspec.Struct, frozen=True):
    """A block of the answer, or a piece of one."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class ReadMessage(msgspec.Struct, frozen=True):
    """The message of an answer."""

    content: tuple[Content, ...] | None = None
    tool_plan: str | None = None
    tool_calls: tuple[Call, ...] | None = None
    citations: tuple[Cited, ...] | None = None


class ReadChat(msgspec.Struct, frozen=True):
    """The answer, whole. `model` is told by another exchange alone."""

    message: ReadMessage
    id: str = ""
    model: str = ""
    finish_reason: str | None = None
    usage: msgspec.Raw = ABSENT
    logprobs: tuple[Likelihood, ...] | None = None


_decode = msgspec.json.Decoder(ReadChat).decode
_encode = msgspec.json.Encoder().encode


def read_answer(body: bytes) -> Answer:
    """Read a buffered answer.

    Raises:
        Garbled: it is not what the reference describes, or ends with an error.
    """
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = body[:200].decode(errors="replace")
        raise Garbled("the answer is no chat answer", inside=f"no chat answer: {error}", said=said) from error
    reason = read.finish_reason or "COMPLETE"
    if reason in BROKEN:
        raise Garbled("the answer ended with an error", inside=f"finish_reason is {reason}")
    stop = STOPS.get(reason, Stop.OTHER)
    candidate = Candidate(
        parts=_parts(read.message),
        stop=stop,
        reason=own_word(stop, reason),
        tokens=None if read.logprobs is None else tuple(read_token(one) for one in read.logprobs),
    )
    return Answer(id=read.id, model=read.model, candidates=(candidate,), usage=read_usage(read.usage))


def _parts(message: ReadMessage) -> tuple[Part, ...]:
    parts: list[Part] = []
    citations = tuple(made for one in message.citations or () for made in read_citations(one))
    for content in message.content or ():
        if content.thinking:
            parts.append(Reasoning(content.thinking, origin=DIALECT))
        if content.text:
            parts.append(Text(content.text, citations=citations))
            citations = ()
    if message.tool_plan:
        parts.append(Text(message.tool_plan, citations=citations))
    for call in message.tool_calls or ():
        function = call.function or Function()
        parts.append(ToolCall(call.id or "", function.name or "", function.arguments or ""))
    return tuple(parts)


def read_citations(cited: Cited) -> tuple[Citation, ...]:
    """What one piece of the answer rests on: a citation for each source. Those of thoughts are left out."""
    if cited.type == OF_THOUGHT:
        return ()
    made = []
    for source in cited.sources or (CitedSource(),):
        document, number = source.document or Document(), source.id or ""
        made.append(
            Citation(
                "answer",
                cited.start,
                cited.end,
                title=document.title,
                url=document.url,
                document=int(number) if number.isdecimal() and len(number) < MOST_DIGITS else None,
            )
        )
    return tuple(made)


MOST_DIGITS: Final = 10
"""A document's number is shorter; what is longer is a name."""


def read_token(likelihood: Likelihood) -> Token:
    """A piece of the text with how likely it was; that of several tokens is their product, the sum of logarithms."""
    return Token(Likely(likelihood.text or "", math.fsum(likelihood.logprobs or ())))


def write_answer(asked: Asked, answer: Answer) -> bytes:
    """Write a buffered answer for its caller; beside Cohere's own fields it has the `model` that gave it."""
    candidate = answer.candidates[0] if answer.candidates else Candidate()
    written: dict[str, Any] = {
        "id": answer.id,
        "finish_reason": REASONS[candidate.stop],
        "message": _message(candidate),
        "model": answer.model or asked.model,
    }
    if answer.usage is not None:
        written["usage"] = write_usage(answer.usage)
    if candidate.tokens is not None:
        written["logprobs"] = [write_token(token) for token in candidate.tokens]
    return _encode(written)


def _message(candidate: Candidate) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    calls = [
        {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
        for part in candidate.parts
        if isinstance(part, ToolCall)
    ]
    content: list[dict[str, Any]] = []
    plan: list[str] = []
    citations: list[dict[str, Any]] = []
    for part in candidate.parts:
        if isinstance(part, Reasoning) and part.text:
            content.append({"type": "thinking", "thinking": part.text})
        elif isinstance(part, Text | Refused):
            if isinstance(part, Text):
                place = {"type": "PLAN"} if calls else {"type": "TEXT_CONTENT", "content_index": len(content)}
                citations += [
                    write_citation(one.placed(0, len(part.text)), part.text) | place for one in part.citations
                ]
            if calls:
                plan.append(part.text)
            else:
                content.append({"type": "text", "text": part.text})
    if content or not calls:
        message["content"] = content
    if calls:
        message["tool_calls"] = calls
    if plan:
        message["tool_plan"] = "".join(plan)
    if citations:
        message["citations"] = citations
    return message


def write_citation(citation: Citation, text: str) -> dict[str, Any]:
    """One of `citations`, with what it rests on; `text` is the part of the answer that it belongs to."""
    inside = citation.unit == "answer"
    start, end = (citation.start or 0, citation.end or 0) if inside else (0, 0)
    about = {"title": citation.title, "url": citation.url, "snippet": citation.quote}
    number = "" if citation.document is None else str(citation.document)
    document = {"id": number} | {name: value for name, value in about.items() if value is not None}
    source = {"type": "document", "id": number, "document": document}
    return {"start": start, "end": end, "text": text[start:end], "sources": [source]}


def write_token(token: Token) -> dict[str, Any]:
    """One of `logprobs`; which token it was in the model's own count, other dialects do not tell."""
    return {"text": token.said.token, "token_ids": [], "logprobs": [token.said.logprob]}
