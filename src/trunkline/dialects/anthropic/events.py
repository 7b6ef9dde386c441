"""Streamed answers from and to the neutral form. Source: Claude API reference, "Streaming messages"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from trunkline.dialects.anthropic.answers import (
    REASONS,
    STOPS,
    ReadBlock,
    ReadCitation,
    StopDetails,
    read_citation,
    write_citation,
)
from trunkline.dialects.anthropic.codec import DIALECT
from trunkline.dialects.anthropic.errors import failure_of
from trunkline.dialects.anthropic.stream import END
from trunkline.dialects.anthropic.usage import UsageFields, as_billed, merge, read_fields, write_usage
from trunkline.dialects.deltas import (
    ENDED,
    Cited,
    Delta,
    Ended,
    Failed,
    Kind,
    PartStarted,
    PartStopped,
    Piece,
    Signed,
    Started,
    Stopped,
    Used,
)
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.neutral import Stop, own_word, seal
from trunkline.errors import Garbled
from trunkline.messages import Asked
from trunkline.wire.sse import data_of

KINDS: Final = {
    "text": Kind.TEXT,
    "thinking": Kind.REASONING,
    "redacted_thinking": Kind.REASONING,
    "tool_use": Kind.TOOL_CALL,
}


class StartedMessage(msgspec.Struct, frozen=True):
    """The message that begins."""

    id: str = ""
    model: str = ""
    usage: msgspec.Raw = ABSENT


class ReadDelta(msgspec.Struct, frozen=True):
    """A piece of a block, or the end of the message."""

    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: ReadCitation | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class ReadEvent(msgspec.Struct, frozen=True):
    """One event."""

    type: str
    index: int = -1
    message: StartedMessage | None = None
    content_block: ReadBlock | None = None
    delta: ReadDelta | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(ReadEvent).decode
_encode = msgspec.json.Encoder().encode


class MessageReader:
    """Reads one stream. Blocks of kinds that only Anthropic has are left out, and the others numbered on."""

    __slots__ = ("_blocks", "_cited", "_empty", "_length", "_parts", "_usage")

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[int, Kind]] = {}
        self._parts = 0
        self._empty = False
        self._length = 0
        self._cited: list[ReadCitation] = []
        self._usage: UsageFields | None = None

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is none of a message's stream.
        """
        data = data_of(event)
        if not data:
            return ()
        try:
            read = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Garbled("an event of the stream is none of a message", inside=f"{error}; {data[:200]!r}") from error
        tell = self._TELL.get(read.type)
        return () if tell is None else tell(self, read)

    def _start(self, read: ReadEvent) -> Sequence[Delta]:
        message = read.message or StartedMessage()
        return (Started(message.id, message.model), *self._used(message.usage))

    def _used(self, raw: msgspec.Raw) -> Sequence[Delta]:
        if bytes(raw) in NOTHING:
            return ()
        self._usage = merge(self._usage, read_fields(raw))
        usage = as_billed(self._usage)
        return () if usage is None else (Used(usage),)

    def _begin(self, read: ReadEvent) -> Sequence[Delta]:
        block = read.content_block
        kind = KINDS.get(block.type) if block is not None else None
        if block is None or kind is None:
            return ()
        part = self._parts
        self._parts += 1
        self._blocks[read.index] = (part, kind)
        self._empty = kind is Kind.TOOL_CALL
        self._length = len(block.text or "")
        deltas: list[Delta] = [PartStarted(0, part, kind, block.id, block.name)]
        if said := block.text or block.thinking:
            deltas.append(Piece(0, part, kind, said))
        if block.signature:
            deltas.append(Signed(0, part, block.signature, DIALECT))
        if block.data is not None:
            deltas.append(Signed(0, part, block.data, DIALECT, redacted=True))
        return deltas

    def _piece(self, read: ReadEvent) -> Sequence[Delta]:
        delta, known = read.delta, self._blocks.get(read.index)
        if delta is None or known is None:
            return ()
        part, kind = known
        said = delta.text or delta.partial_json or delta.thinking
        if said:
            self._empty = False
            self._length += len(said)
            return (Piece(0, part, kind, said),)
        if delta.signature:
            return (Signed(0, part, delta.signature, DIALECT),)
        if delta.citation is not None:
            # All of the block rests on it: how much that is, its end tells.
            self._cited.append(delta.citation)
        return ()

    def _stop(self, read: ReadEvent) -> Sequence[Delta]:
        known = self._blocks.pop(read.index, None)
        if known is None:
            return ()
        part, kind = known
        if kind is Kind.TOOL_CALL and self._empty:
            # A call without arguments has no pieces, and yet its arguments are an object.
            self._empty = False
            return (Piece(0, part, kind, "{}"), PartStopped(0, part))
        cited, self._cited = self._cited, []
        return (*(Cited(0, part, read_citation(one), self._length) for one in cited), PartStopped(0, part))

    def _finish(self, read: ReadEvent) -> Sequence[Delta]:
        deltas: list[Delta] = []
        delta = read.delta
        if delta is not None and delta.stop_reason is not None:
            if delta.stop_details is not None and delta.stop_details.explanation:
                part = self._parts
                deltas.append(PartStarted(0, part, Kind.REFUSAL))
                deltas.append(Piece(0, part, Kind.REFUSAL, delta.stop_details.explanation))
                deltas.append(PartStopped(0, part))
            stop = STOPS.get(delta.stop_reason, Stop.OTHER)
            deltas.append(Stopped(0, stop, delta.stop_sequence, reason=own_word(stop, delta.stop_reason)))
        deltas.extend(self._used(read.usage))
        return deltas

    def _end(self, read: ReadEvent) -> Sequence[Delta]:
        del read
        return (ENDED,)

    def _fail(self, read: ReadEvent) -> Sequence[Delta]:
        return (Failed(failure_of(read.error)),)

    _TELL: ClassVar[dict[str, Callable[[MessageReader, ReadEvent], Sequence[Delta]]]] = {
        "content_block_delta": _piece,
        "content_block_start": _begin,
        "content_block_stop": _stop,
        "message_start": _start,
        "message_delta": _finish,
        "message_stop": _end,
        "error": _fail,
    }


class MessageWriter:
    """Writes one stream. Why it ended and what it used come in one event, before the last."""

    __slots__ = ("_asked", "_kinds", "_seen", "_stopped", "_usage", "_waiting")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._kinds: dict[int, Kind] = {}
        self._seen: set[Kind] = set()
        self._waiting: int | None = None
        self._stopped: Stopped | None = None
        self._usage: Used | None = None

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it; of several candidates the first alone."""
        tell = self._TELL.get(type(delta))
        return b"" if tell is None or getattr(delta, "candidate", None) else tell(self, delta)

    def _start(self, delta: Started) -> bytes:
        message: dict[str, Any] = {
            "id": delta.id,
            "type": "message",
            "role": "assistant",
            "model": delta.model or self._asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(None),
        }
        return _event("message_start", message=message)

    def _begin(self, delta: PartStarted) -> bytes:
        self._kinds[delta.part] = delta.kind
        self._seen.add(delta.kind)
        if delta.kind is Kind.REASONING:
            # Only what comes next tells whether it can be read, and so which block it is.
            self._waiting = delta.part
            return b""
        if delta.kind is Kind.TOOL_CALL:
            return _begin(delta.part, {"type": "tool_use", "id": delta.id, "name": delta.name, "input": {}})
        return _begin(delta.part, {"type": "text", "text": ""})

    def _reveal(self) -> bytes:
        part, self._waiting = self._waiting, None
        return b"" if part is None else _begin(part, {"type": "thinking", "thinking": "", "signature": ""})

    def _piece(self, delta: Piece) -> bytes:
        before = b"" if self._waiting is None else self._reveal()
        return before + _PIECES[delta.kind] % (delta.part, _encode(delta.text))

    def _signed(self, delta: Signed) -> bytes:
        sealed = seal(delta.origin, delta.signature, DIALECT)
        if delta.redacted:
            self._waiting = None
            return _begin(delta.part, {"type": "redacted_thinking", "data": sealed})
        return self._reveal() + _more(delta.part, {"type": "signature_delta", "signature": sealed})

    def _cited(self, delta: Cited) -> bytes:
        return _more(delta.part, {"type": "citations_delta", "citation": write_citation(delta.citation)})

    def _stop_part(self, delta: PartStopped) -> bytes:
        return self._reveal() + _event("content_block_stop", index=delta.part)

    def _stop(self, delta: Stopped) -> bytes:
        self._stopped = delta
        return b""

    def _use(self, delta: Used) -> bytes:
        self._usage = delta
        return b""

    def _end(self, delta: Ended) -> bytes:
        del delta
        stopped = self._stopped or Stopped(0, Stop.END)
        stop = stopped.stop
        if stop is Stop.END and Kind.TOOL_CALL in self._seen:
            stop = Stop.TOOL
        elif stop is Stop.END and Kind.REFUSAL in self._seen:
            stop = Stop.REFUSED
        why = {"stop_reason": REASONS[stop], "stop_sequence": stopped.sequence}
        usage = write_usage(None if self._usage is None else self._usage.usage)
        return _event("message_delta", delta=why, usage=usage) + END

    _TELL: ClassVar[dict[type, Callable[[MessageWriter, Any], bytes]]] = {
        Piece: _piece,
        Started: _start,
        PartStarted: _begin,
        PartStopped: _stop_part,
        Signed: _signed,
        Cited: _cited,
        Stopped: _stop,
        Used: _use,
        Ended: _end,
    }


def _pieces(kind: str, field: str) -> bytes:
    """An event with a piece, but for the block's number and the piece itself."""
    delta = b'{"type":"%b","%b":%%b}' % (kind.encode(), field.encode())
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' + delta + b"}\n\n"


_PIECES: Final = {
    Kind.TEXT: _pieces("text_delta", "text"),
    Kind.REFUSAL: _pieces("text_delta", "text"),
    Kind.REASONING: _pieces("thinking_delta", "thinking"),
    Kind.TOOL_CALL: _pieces("input_json_delta", "partial_json"),
}


def _begin(part: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", index=part, content_block=block)


def _more(part: int, delta: dict[str, Any]) -> bytes:
    return _event("content_block_delta", index=part, delta=delta)


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
