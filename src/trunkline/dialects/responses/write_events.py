"""Streams for callers out of the neutral form. Source: OpenAI API reference, "Streaming events" of responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

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
    Used,
    Weighed,
)
from trunkline.dialects.neutral import Reasoning, Stop
from trunkline.dialects.responses.answers import (
    call_item,
    ending,
    item_id,
    message_item,
    response,
    write_citation,
    write_tokens,
)
from trunkline.dialects.responses.thoughts import write_thought
from trunkline.dialects.responses.usage import write_usage
from trunkline.messages import Asked

PREFIXES: Final = {Kind.TEXT: "msg", Kind.REFUSAL: "msg", Kind.TOOL_CALL: "fc", Kind.REASONING: "rs"}
DELTAS: Final = {
    Kind.TEXT: "response.output_text.delta",
    Kind.REFUSAL: "response.refusal.delta",
    Kind.TOOL_CALL: "response.function_call_arguments.delta",
    Kind.REASONING: "response.reasoning_summary_text.delta",
}
FINISHED: Final = "completed"
RUNNING: Final = "in_progress"

_encode = msgspec.json.Encoder().encode


class _Part:
    """One part of the answer, as far as it has come.

    `at` are the fields that tell its place in every event of it; `head` is how its deltas begin.
    """

    __slots__ = ("at", "call", "cited", "head", "item", "kind", "pieces", "signed", "tokens")

    def __init__(self, kind: Kind, item: int, at: dict[str, Any], call: tuple[str, str]) -> None:
        self.kind = kind
        self.item = item
        self.at = at
        self.call = call
        self.pieces: list[str] = []
        self.cited: list[dict[str, Any]] = []
        self.tokens: list[dict[str, Any]] = []
        self.signed: Signed | None = None
        fields = _encode({"type": DELTAS[kind], **at} | ({"logprobs": []} if kind is Kind.TEXT else {}))
        self.head = b'event: %b\ndata: %b,"delta":' % (DELTAS[kind].encode(), fields[:-1])

    @property
    def text(self) -> str:
        """All that came."""
        return "".join(self.pieces)

    def content(self) -> dict[str, Any]:
        """The part of a message's item."""
        if self.kind is Kind.REFUSAL:
            return {"type": "refusal", "refusal": self.text}
        return {"type": "output_text", "text": self.text, "annotations": self.cited, "logprobs": self.tokens}


class ResponseWriter:
    """Writes one stream. Words that follow each other are one item; each call and each thought is one of its own."""

    __slots__ = ("_asked", "_items", "_message", "_number", "_own", "_parts", "_refused", "_started", "_stop", "_used")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._started = Started()
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._parts: dict[int, _Part] = {}
        self._message: list[_Part] | None = None
        self._stop = Stop.END
        self._own: str | None = None
        self._refused = False
        self._used: Used | None = None

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it; of several candidates the first alone."""
        tell = self._TELL.get(type(delta))
        return b"" if tell is None or getattr(delta, "candidate", None) else tell(self, delta)

    def _event(self, kind: str, **fields: Any) -> bytes:
        number = self._number
        self._number += 1
        told = {"type": kind, **fields, "sequence_number": number}
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(told))

    def _start(self, delta: Started) -> bytes:
        self._started = delta
        told = self._response()
        return self._event("response.created", response=told) + self._event("response.in_progress", response=told)

    def _response(self) -> dict[str, Any]:
        return response(self._asked, self._started.id, self._started.model, self._started.created)

    def _begin(self, delta: PartStarted) -> bytes:
        if delta.kind in (Kind.TEXT, Kind.REFUSAL):
            return self._begin_words(delta)
        before = self._end_message()
        index, own = self._next_item(delta.kind)
        at: dict[str, Any] = {"item_id": own, "output_index": index}
        if delta.kind is Kind.REASONING:
            at["summary_index"] = 0
            item: dict[str, Any] = {"id": own, "type": "reasoning", "summary": [], "status": RUNNING}
        else:
            item = call_item(own, (delta.id, delta.name), "", RUNNING)
        self._parts[delta.part] = _Part(delta.kind, index, at, (delta.id, delta.name))
        self._items.append(item)
        return before + self._event("response.output_item.added", output_index=index, item=item)

    def _begin_words(self, delta: PartStarted) -> bytes:
        begun = b""
        if self._message is None:
            index, own = self._next_item(delta.kind)
            item = message_item(own, [], RUNNING)
            self._message = []
            self._items.append(item)
            begun = self._event("response.output_item.added", output_index=index, item=item)
        index = len(self._items) - 1
        at = {"item_id": self._items[index]["id"], "output_index": index, "content_index": len(self._message)}
        part = self._parts[delta.part] = _Part(delta.kind, index, at, ("", ""))
        self._message.append(part)
        return begun + self._event("response.content_part.added", **at, part=part.content())

    def _next_item(self, kind: Kind) -> tuple[int, str]:
        index = len(self._items)
        return index, item_id(PREFIXES[kind], self._started.id, index)

    def _piece(self, delta: Piece) -> bytes:
        part = self._parts[delta.part]
        begun = b""
        if part.kind is Kind.REASONING and not part.pieces:
            begun = self._begin_summary(part)
        part.pieces.append(delta.text)
        number = self._number
        self._number += 1
        return b'%b%b%b,"sequence_number":%d}\n\n' % (begun, part.head, _encode(delta.text), number)

    def _begin_summary(self, part: _Part) -> bytes:
        empty = {"type": "summary_text", "text": ""}
        return self._event("response.reasoning_summary_part.added", **part.at, part=empty)

    def _signed(self, delta: Signed) -> bytes:
        self._parts[delta.part].signed = delta
        return b""

    def _cited(self, delta: Cited) -> bytes:
        part = self._parts[delta.part]
        annotation = write_citation(delta.citation.placed(0, delta.length) if delta.length else delta.citation)
        if annotation is None or part.kind is not Kind.TEXT:
            return b""
        part.cited.append(annotation)
        index = len(part.cited) - 1
        kind = "response.output_text.annotation.added"
        return self._event(kind, **part.at, annotation_index=index, annotation=annotation)

    def _weighed(self, delta: Weighed) -> bytes:
        """How likely tokens were is told after their text: with a piece that adds nothing to it."""
        part = next((one for one in reversed(self._message or ()) if one.kind is Kind.TEXT), None)
        if part is None:
            return b""
        tokens = write_tokens(delta.tokens)
        part.tokens.extend(tokens)
        return self._event(DELTAS[Kind.TEXT], **part.at, delta="", logprobs=tokens)

    def _stop_part(self, delta: PartStopped) -> bytes:
        part = self._parts.get(delta.part)
        if part is None:
            return b""
        match part.kind:
            case Kind.TEXT:
                told = {"text": part.text, "logprobs": part.tokens}
                ended = self._event("response.output_text.done", **part.at, **told)
                return ended + self._event("response.content_part.done", **part.at, part=part.content())
            case Kind.REFUSAL:
                self._refused = True
                ended = self._event("response.refusal.done", **part.at, refusal=part.text)
                return ended + self._event("response.content_part.done", **part.at, part=part.content())
            case Kind.TOOL_CALL:
                item = call_item(part.at["item_id"], part.call, part.text, FINISHED)
                arguments = {"name": part.call[1], "arguments": part.text}
                ended = self._event("response.function_call_arguments.done", **part.at, **arguments)
                return ended + self._end_item(part.item, item)
            case Kind.REASONING:
                return self._end_thought(part)

    def _end_thought(self, part: _Part) -> bytes:
        ended, text, signed = b"", part.text, part.signed
        if part.pieces:
            summary = {"type": "summary_text", "text": text}
            ended = self._event("response.reasoning_summary_text.done", **part.at, text=text)
            ended += self._event("response.reasoning_summary_part.done", **part.at, part=summary)
        thought = Reasoning(text)
        if signed is not None and signed.redacted:
            thought = Reasoning(redacted=signed.signature, origin=signed.origin)
        elif signed is not None:
            thought = Reasoning(text, signed.signature, origin=signed.origin)
        item = write_thought(thought, part.at["item_id"])
        # The item was begun under this id; an upstream's own would make another of it.
        return ended + self._end_item(part.item, item | {"id": part.at["item_id"]})

    def _end_item(self, index: int, item: dict[str, Any]) -> bytes:
        self._items[index] = item
        return self._event("response.output_item.done", output_index=index, item=item)

    def _end_message(self) -> bytes:
        parts, self._message = self._message, None
        if parts is None:
            return b""
        index = parts[0].item if parts else len(self._items) - 1
        content = [part.content() for part in parts]
        return self._end_item(index, message_item(self._items[index]["id"], content, FINISHED))

    def _halt(self, delta: Stopped) -> bytes:
        self._stop, self._own = delta.stop, delta.reason
        return b""

    def _use(self, delta: Used) -> bytes:
        self._used = delta
        return b""

    def _end(self, delta: Ended) -> bytes:
        del delta
        before = self._end_message()
        status, details = ending(self._stop, refused=self._refused, own=self._own)
        told = self._response() | {
            "status": status,
            "incomplete_details": details,
            "output": self._items,
            "usage": None if self._used is None else write_usage(self._used.usage),
        }
        return before + self._event(f"response.{status}", response=told)

    _TELL: ClassVar[dict[type, Callable[[Any, Any], bytes]]] = {
        Piece: _piece,
        Started: _start,
        PartStarted: _begin,
        PartStopped: _stop_part,
        Signed: _signed,
        Cited: _cited,
        Weighed: _weighed,
        Stopped: _halt,
        Used: _use,
        Ended: _end,
    }
