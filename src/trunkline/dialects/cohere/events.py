"""Streamed answers from and to the neutral form. Source: Cohere API reference, "Chat with Streaming" of version 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from trunkline.dialects.cohere.answers import (
    BROKEN,
    REASONS,
    STOPS,
    Call,
    Cited,
    Content,
    Function,
    Likelihood,
    read_citations,
    read_token,
    write_citation,
    write_token,
)
from trunkline.dialects.cohere.errors import failure_of
from trunkline.dialects.cohere.stream import DONE
from trunkline.dialects.cohere.usage import read_usage, write_usage
from trunkline.dialects.deltas import (
    ENDED,
    Delta,
    Ended,
    Failed,
    Kind,
    PartStarted,
    PartStopped,
    Piece,
    Started,
    Stopped,
    Used,
    Weighed,
)
from trunkline.dialects.deltas import Cited as CitedDelta
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.neutral import Stop, Trouble, own_word
from trunkline.dialects.parts import Parts
from trunkline.errors import Garbled
from trunkline.messages import Asked
from trunkline.wire.sse import data_of


class MessagePiece(msgspec.Struct, frozen=True):
    """What an event tells of the message: the one that begins has lists, all others one of their items."""

    content: Content | tuple[()] | None = None
    tool_plan: str | None = None
    tool_calls: Call | tuple[()] | None = None
    citations: Cited | tuple[()] | None = None


class EventDelta(msgspec.Struct, frozen=True):
    """What an event tells."""

    message: MessagePiece | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = ABSENT
    error: str | None = None


class ReadEvent(msgspec.Struct, frozen=True):
    """One event. `model` is told by another exchange alone."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    delta: EventDelta | None = None
    logprobs: Likelihood | None = None


_decode = msgspec.json.Decoder(ReadEvent).decode
_encode = msgspec.json.Encoder().encode
NOTHING_SAID = MessagePiece()


class ChatReader:
    """Reads one stream. Where parts begin is told by what the pieces are; plans are text."""

    __slots__ = ("_ended", "_parts", "_text")

    def __init__(self) -> None:
        self._parts = Parts(0)
        self._text = -1
        self._ended = False

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is no event of a chat.
        """
        data = data_of(event)
        if not data or data == DONE:
            return ()
        try:
            read = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Garbled("an event of the stream is no event of a chat", inside=f"{error}; {data[:200]!r}") from error
        deltas: list[Delta] = []
        delta = read.delta or EventDelta()
        match read.type:
            case "message-start":
                deltas.append(Started(read.id or "", read.model or ""))
            case "content-start" | "content-delta" | "tool-plan-delta":
                self._said(read, delta.message or NOTHING_SAID, deltas)
            case "tool-call-start" | "tool-call-delta":
                called = (delta.message or NOTHING_SAID).tool_calls
                self._called(called or Call(), deltas, begins=read.type == "tool-call-start")
            case "content-end" | "tool-call-end":
                self._parts.close(deltas)
            case "citation-start":
                self._cited((delta.message or NOTHING_SAID).citations, deltas)
            case "message-end" if not self._ended:
                self._end(delta, deltas)
        return deltas

    def _said(self, read: ReadEvent, message: MessagePiece, deltas: list[Delta]) -> None:
        content = message.content or Content()
        if content.type == "thinking" or content.thinking:
            self._parts.enter(Kind.REASONING, deltas)
            if content.thinking:
                deltas.append(Piece(0, self._parts.part, Kind.REASONING, content.thinking))
        text = content.text or message.tool_plan
        if text or content.type == "text":
            self._parts.enter(Kind.TEXT, deltas)
            self._text = self._parts.part
            if text:
                deltas.append(Piece(0, self._parts.part, Kind.TEXT, text))
        if read.logprobs is not None:
            deltas.append(Weighed(0, (read_token(read.logprobs),)))

    def _called(self, call: Call, deltas: list[Delta], *, begins: bool) -> None:
        function = call.function or Function()
        if begins or self._parts.kind is not Kind.TOOL_CALL:
            self._parts.close(deltas)
            self._parts.begin(Kind.TOOL_CALL, deltas, (call.id or "", function.name or ""))
        if function.arguments:
            deltas.append(Piece(0, self._parts.part, Kind.TOOL_CALL, function.arguments))

    def _cited(self, cited: Cited | tuple[()] | None, deltas: list[Delta]) -> None:
        if cited and self._text >= 0:
            deltas += [CitedDelta(0, self._text, citation) for citation in read_citations(cited)]

    def _end(self, delta: EventDelta, deltas: list[Delta]) -> None:
        self._ended = True
        self._parts.close(deltas)
        reason = delta.finish_reason or "COMPLETE"
        broke = delta.error is not None or reason in BROKEN
        if not broke:
            stop = STOPS.get(reason, Stop.OTHER)
            deltas.append(Stopped(0, stop, reason=own_word(stop, reason)))
        if (usage := read_usage(delta.usage)) is not None:
            deltas.append(Used(usage))
        if broke:
            trouble = Trouble.TIMEOUT if reason == "TIMEOUT" else Trouble.SERVER
            deltas.append(Failed(failure_of(delta.error or "", trouble)))
        else:
            deltas.append(ENDED)


class ChatWriter:
    """Writes one stream: content and calls are numbered apart, as are citations; all ends with `message-end`."""

    __slots__ = ("_calls", "_cited", "_content", "_model", "_numbers", "_stop", "_used")

    def __init__(self, asked: Asked) -> None:
        self._model = asked.model
        self._numbers: dict[int, tuple[Kind, int]] = {}
        self._content = 0
        self._calls = 0
        self._cited = 0
        self._stop = Stop.END
        self._used: Used | None = None

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it; of the first candidate alone, for there is no other."""
        tell = self._TELL.get(type(delta))
        return b"" if tell is None or getattr(delta, "candidate", None) else tell(self, delta)

    def _start(self, delta: Started) -> bytes:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return _event(
            {"type": "message-start", "id": delta.id, "model": delta.model or self._model, "delta": _of(message)}
        )

    def _begin(self, delta: PartStarted) -> bytes:
        if delta.kind is Kind.TOOL_CALL:
            number = self._calls
            self._numbers[delta.part] = (delta.kind, number)
            self._calls += 1
            function = {"name": delta.name, "arguments": ""}
            call = {"id": delta.id, "type": "function", "function": function}
            return _event({"type": "tool-call-start", "index": number, "delta": _of({"tool_calls": call})})
        number = self._content
        self._numbers[delta.part] = (delta.kind, number)
        self._content += 1
        begun = {"type": "thinking", "thinking": ""} if delta.kind is Kind.REASONING else {"type": "text", "text": ""}
        return _event({"type": "content-start", "index": number, "delta": _of({"content": begun})})

    def _piece(self, delta: Piece) -> bytes:
        _, number = self._numbers[delta.part]
        if delta.kind is Kind.TOOL_CALL:
            told = _of({"tool_calls": {"function": {"arguments": delta.text}}})
            return _event({"type": "tool-call-delta", "index": number, "delta": told})
        name = "thinking" if delta.kind is Kind.REASONING else "text"
        return _event({"type": "content-delta", "index": number, "delta": _of({"content": {name: delta.text}})})

    def _cite(self, delta: CitedDelta) -> bytes:
        number = self._cited
        self._cited += 1
        place = {"type": "TEXT_CONTENT", "content_index": self._numbers[delta.part][1]}
        cited = _of({"citations": write_citation(delta.citation.placed(0, delta.length), "") | place})
        return _event({"type": "citation-start", "index": number, "delta": cited}) + _event(
            {"type": "citation-end", "index": number}
        )

    def _weigh(self, delta: Weighed) -> bytes:
        number = max(self._content - 1, 0)
        nothing = _of({"content": {"text": ""}})
        return b"".join(
            _event({"type": "content-delta", "index": number, "delta": nothing, "logprobs": write_token(token)})
            for token in delta.tokens
        )

    def _close(self, delta: PartStopped) -> bytes:
        kind, number = self._numbers[delta.part]
        return _event({"type": "tool-call-end" if kind is Kind.TOOL_CALL else "content-end", "index": number})

    def _stopped(self, delta: Stopped) -> bytes:
        self._stop = delta.stop
        return b""

    def _use(self, delta: Used) -> bytes:
        self._used = delta
        return b""

    def _end(self, delta: Ended) -> bytes:
        del delta
        ended: dict[str, Any] = {"finish_reason": REASONS[self._stop]}
        if self._used is not None:
            ended["usage"] = write_usage(self._used.usage)
        return _event({"type": "message-end", "delta": ended})

    _TELL: ClassVar[dict[type, Callable[[ChatWriter, Any], bytes]]] = {
        Piece: _piece,
        Started: _start,
        PartStarted: _begin,
        PartStopped: _close,
        CitedDelta: _cite,
        Weighed: _weigh,
        Stopped: _stopped,
        Used: _use,
        Ended: _end,
    }


def _of(message: dict[str, Any]) -> dict[str, Any]:
    return {"message": message}


def _event(told: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (told["type"].encode(), _encode(told))
