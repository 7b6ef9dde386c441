"""Streamed answers from and to the neutral form.

Each event is an answer of its own with a piece of each candidate. Source: Gemini API reference,
"Method: models.streamGenerateContent".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

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
    Weighed,
)
from trunkline.dialects.fields import NOTHING
from trunkline.dialects.gemini.answers import (
    REASONS,
    Ids,
    ReadCandidate,
    ReadPart,
    ReadResponse,
    blocked_of,
    read_tokens,
    stop_of,
    write_call,
    write_tokens,
)
from trunkline.dialects.gemini.cited import read_citations, write_grounding
from trunkline.dialects.gemini.errors import failure_of
from trunkline.dialects.gemini.proto import DIALECT, seal_bytes
from trunkline.dialects.gemini.usage import read_usage, write_usage
from trunkline.dialects.neutral import Citation, Stop, own_word
from trunkline.dialects.parts import Parts
from trunkline.errors import Garbled
from trunkline.messages import Asked
from trunkline.wire.sse import data_of

_decode = msgspec.json.Decoder(ReadResponse).decode
_encode = msgspec.json.Encoder().encode


class _Open(Parts):
    """The parts of one candidate so far, and which of them still goes on."""

    __slots__ = ("calls", "stopped", "texts")

    def __init__(self, candidate: int) -> None:
        super().__init__(candidate)
        self.calls = False
        self.stopped = False
        self.texts: list[str] = []


class ContentReader:
    """Reads one stream. Where parts begin and end is told by what the pieces are: the wire does not say."""

    __slots__ = ("_candidates", "_ids", "_started")

    def __init__(self) -> None:
        self._candidates: dict[int, _Open] = {}
        self._ids = Ids("")
        self._started = False

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is none of an answer's stream.
        """
        data = data_of(event)
        if not data:
            return ()
        try:
            read = _decode(data)
            blocked = blocked_of(read)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Garbled("an event of the stream is no answer", inside=f"{error}; {data[:200]!r}") from error
        if bytes(read.error) not in NOTHING:
            return (Failed(failure_of(read.error)),)
        deltas: list[Delta] = []
        if not self._started:
            self._started = True
            self._ids = Ids(read.response_id)
            deltas.append(Started(read.response_id, read.model_version))
        for candidate in read.candidates:
            self._candidate(candidate, deltas)
        if blocked is not None:
            if blocked.block_reason_message:
                deltas.append(PartStarted(0, 0, Kind.REFUSAL))
                deltas.append(Piece(0, 0, Kind.REFUSAL, blocked.block_reason_message))
                deltas.append(PartStopped(0, 0))
            deltas.append(Stopped(0, Stop.FILTERED, safety=read.prompt_feedback))
        if bytes(read.usage_metadata) not in NOTHING and (usage := read_usage(read.usage_metadata)) is not None:
            deltas.append(Used(usage))
        if blocked is not None:
            deltas.append(ENDED)
        return deltas

    def _candidate(self, read: ReadCandidate, deltas: list[Delta]) -> None:
        index = read.index
        opened = self._candidates.get(index)
        if opened is None:
            opened = self._candidates[index] = _Open(index)
        if opened.stopped:
            return
        for part in (read.content.parts or ()) if read.content is not None else ():
            self._part(index, opened, part, deltas)
        if read.citation_metadata is not None or read.grounding_metadata is not None:
            text = "".join(opened.texts)
            citations = read_citations(read.citation_metadata, read.grounding_metadata, text)
            if citations:
                opened.enter(Kind.TEXT, deltas)
                deltas.extend(Cited(index, opened.part, citation) for citation in citations)
        if read.logprobs_result is not None and (tokens := read_tokens(read.logprobs_result)):
            deltas.append(Weighed(index, tokens))
        if read.finish_reason is not None:
            opened.stopped = True
            stop = stop_of(read.finish_reason, calls=opened.calls)
            if stop is Stop.FILTERED and read.finish_message:
                opened.enter(Kind.REFUSAL, deltas)
                deltas.append(Piece(index, opened.part, Kind.REFUSAL, read.finish_message))
            opened.close(deltas)
            safety = None if bytes(read.safety_ratings) in NOTHING else read.safety_ratings
            deltas.append(Stopped(index, stop, safety=safety, reason=own_word(stop, read.finish_reason)))

    def _part(self, index: int, opened: _Open, part: ReadPart, deltas: list[Delta]) -> None:
        text, signature = part.text, part.thought_signature
        if part.thought:
            opened.enter(Kind.REASONING, deltas)
            if text:
                deltas.append(Piece(index, opened.part, Kind.REASONING, text))
            if signature:
                deltas.append(Signed(index, opened.part, signature, DIALECT))
                opened.close(deltas)
            return
        if signature:
            opened.close(deltas)
            opened.begin(Kind.REASONING, deltas)
            deltas.append(Signed(index, opened.part, signature, DIALECT))
            opened.close(deltas)
        call = part.function_call
        if call is not None:
            opened.calls = True
            opened.close(deltas)
            opened.begin(Kind.TOOL_CALL, deltas, (self._ids.of(call), call.name))
            deltas.append(Piece(index, opened.part, Kind.TOOL_CALL, call.arguments))
            opened.close(deltas)
        elif text:
            opened.texts.append(text)
            opened.enter(Kind.TEXT, deltas)
            deltas.append(Piece(index, opened.part, Kind.TEXT, text))


class _Said:
    """What of one candidate waits to be written."""

    __slots__ = ("arguments", "call", "citations", "refused", "signature", "stopped", "texts", "thought")

    def __init__(self) -> None:
        self.call: PartStarted | None = None
        self.arguments: list[str] = []
        self.thought = False
        self.signature: str | None = None
        self.refused = False
        self.texts: list[str] = []
        self.citations: list[Citation] = []
        self.stopped: Stopped | None = None


class ContentWriter:
    """Writes one stream. A call is written once it is whole; the last event tells why it ended, and what it used."""

    __slots__ = ("_asked", "_said", "_tail", "_usage")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._tail = b""
        self._said: dict[int, _Said] = {}
        self._usage: Used | None = None

    def write(self, delta: Delta) -> bytes:
        """Return the events that tell it."""
        tell = self._TELL.get(type(delta))
        return b"" if tell is None else tell(self, delta)

    def _of(self, candidate: int) -> _Said:
        said = self._said.get(candidate)
        if said is None:
            said = self._said[candidate] = _Said()
        return said

    def _start(self, delta: Started) -> bytes:
        known: dict[str, Any] = {"modelVersion": delta.model or self._asked.model}
        if delta.id:
            known["responseId"] = delta.id
        self._tail = b"," + _encode(known)[1:] + b"\n\n"
        return b""

    def _begin(self, delta: PartStarted) -> bytes:
        said = self._of(delta.candidate)
        said.thought = False
        if delta.kind is Kind.TOOL_CALL:
            said.call = delta
        return b""

    def _piece(self, delta: Piece) -> bytes:
        said = self._of(delta.candidate)
        if delta.kind is Kind.TOOL_CALL:
            said.arguments.append(delta.text)
            return b""
        part = b'{"text":%b}' % _encode(delta.text)
        if delta.kind is Kind.REASONING:
            said.thought = True
            part = part[:-1] + b',"thought":true}'
        else:
            said.refused = said.refused or delta.kind is Kind.REFUSAL
            said.texts.append(delta.text)
            if said.signature is not None:
                part = self._signed_part(said, part)
        return self._parts(delta.candidate, part)

    def _signed_part(self, said: _Said, part: bytes) -> bytes:
        signed = part[:-1] + b',"thoughtSignature":%b}' % _encode(said.signature)
        said.signature = None
        return signed

    def _signed(self, delta: Signed) -> bytes:
        said = self._of(delta.candidate)
        sealed = seal_bytes(delta.origin, delta.signature, redacted=delta.redacted)
        if not delta.redacted and not said.thought:
            # The signature of the part that comes next.
            said.signature = sealed
            return b""
        part = b'{"text":"","thought":true,"thoughtSignature":%b}' % _encode(sealed)
        return self._parts(delta.candidate, part)

    def _stop_part(self, delta: PartStopped) -> bytes:
        said = self._of(delta.candidate)
        call, said.call = said.call, None
        if call is None:
            return b""
        arguments = "".join(said.arguments)
        said.arguments.clear()
        part = _encode({"functionCall": write_call(call.id, call.name, arguments)})
        return self._parts(delta.candidate, part if said.signature is None else self._signed_part(said, part))

    def _cited(self, delta: Cited) -> bytes:
        said = self._of(delta.candidate)
        before = sum(map(len, said.texts)) - delta.length
        said.citations.append(delta.citation.placed(before, delta.length) if delta.length else delta.citation)
        return b""

    def _weighed(self, delta: Weighed) -> bytes:
        candidate = {"index": delta.candidate, "logprobsResult": write_tokens(delta.tokens)}
        return b'data: {"candidates":[%b]%b' % (_encode(candidate), self._tail)

    def _stop(self, delta: Stopped) -> bytes:
        self._of(delta.candidate).stopped = delta
        return b""

    def _use(self, delta: Used) -> bytes:
        self._usage = delta
        return b""

    def _end(self, delta: Ended) -> bytes:
        del delta
        candidates = [_last(index, said) for index, said in sorted(self._said.items())]
        usage = b"" if self._usage is None else b',"usageMetadata":%b' % _encode(write_usage(self._usage.usage))
        return b'data: {"candidates":%b%b%b' % (_encode(candidates), usage, self._tail)

    def _parts(self, candidate: int, part: bytes) -> bytes:
        head = b'data: {"candidates":[{"content":{"parts":['
        return b'%b%b],"role":"model"},"index":%d}]%b' % (head, part, candidate, self._tail)

    _TELL: ClassVar[dict[type, Callable[[ContentWriter, Any], bytes]]] = {
        Piece: _piece,
        Started: _start,
        PartStarted: _begin,
        PartStopped: _stop_part,
        Signed: _signed,
        Cited: _cited,
        Weighed: _weighed,
        Stopped: _stop,
        Used: _use,
        Ended: _end,
    }


def _last(index: int, said: _Said) -> dict[str, Any]:
    """The end of a candidate."""
    part: dict[str, Any] = {"text": ""}
    if said.signature is not None:
        part["thoughtSignature"] = said.signature
    stop = said.stopped.stop if said.stopped is not None else Stop.END
    if stop is Stop.END and said.refused:
        stop = Stop.REFUSED
    content = {"parts": [part], "role": "model"}
    written: dict[str, Any] = {"content": content, "finishReason": REASONS[stop], "index": index}
    if said.stopped is not None and said.stopped.reason is not None:
        written["finishMessage"] = said.stopped.reason
    safety = said.stopped.safety if said.stopped is not None else None
    if safety is not None and bytes(safety)[:1] == b"[":
        written["safetyRatings"] = safety
    grounding = write_grounding(said.citations, "".join(said.texts)) if said.citations else None
    return written if grounding is None else written | {"groundingMetadata": grounding}
