"""Streamed chat answers, to the neutral form.

Source: OpenAI API reference, "The chat completion chunk object".
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.dialects.deltas import (
    ENDED,
    Cited,
    Delta,
    Failed,
    Kind,
    Piece,
    Signed,
    Started,
    Stopped,
    Used,
    Weighed,
)
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.neutral import Reasoning, own_word
from trunkline.dialects.openai.answers import (
    Call,
    Likelihoods,
    Said,
    read_citation,
    read_content,
    read_thoughts,
    read_tokens,
    stop_of,
)
from trunkline.dialects.openai.errors import failure_of
from trunkline.dialects.openai.stream import refuse_error
from trunkline.dialects.openai.usage import Groq, read_usage
from trunkline.dialects.parts import Parts
from trunkline.errors import Garbled
from trunkline.wire.sse import data_of


class ChoicePiece(msgspec.Struct, frozen=True):
    """A piece of one of the answers."""

    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: Likelihoods | None = None
    content_filter_results: msgspec.Raw = ABSENT


class ReadChunk(msgspec.Struct, frozen=True):
    """One event."""

    id: str = ""
    model: str = ""
    created: int = 0
    choices: tuple[ChoicePiece, ...] = ()
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    x_groq: Groq | None = None


_decode = msgspec.json.Decoder(ReadChunk).decode
_decode_any = msgspec.json.Decoder().decode


class _Call:
    """A tool call: its id and name, and the pieces of its arguments so far."""

    __slots__ = ("head", "part", "pieces")

    def __init__(self, head: tuple[str, str]) -> None:
        self.head = head
        self.part: int | None = None
        self.pieces: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether its arguments are JSON that can end here."""
        try:
            _decode_any("".join(self.pieces))
        except msgspec.DecodeError:
            return False
        return True


class _Open(Parts):
    """The parts of one candidate so far: which of them still goes on, and which tool call is which part.

    Calls whose pieces come in turns are told one after the other, as most dialects must: those behind wait, and so do
    words in the midst of one.
    """

    __slots__ = ("calls", "current", "late", "signed", "stopped", "thought", "waiting")

    def __init__(self, candidate: int) -> None:
        super().__init__(candidate)
        self.calls: dict[int, _Call] = {}
        self.current: _Call | None = None
        self.waiting: list[_Call] = []
        self.late: list[str] = []
        self.thought: list[str] = []
        self.signed = False
        self.stopped = False


class ChatReader:
    """Reads one stream. Where parts begin and end is told by what the pieces are: the wire does not say."""

    __slots__ = ("_candidates", "_ended", "_started")

    def __init__(self) -> None:
        self._candidates: dict[int, _Open] = {}
        self._started = False
        self._ended = False

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is no chunk.
            Declined: it is an error object itself.
        """
        data = data_of(event)
        if not data:
            return ()
        if data == b"[DONE]":
            self._ended = True
            return (ENDED,)
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Garbled("an event of the stream is no chunk", inside=f"{error}; {data[:200]!r}") from error
        if bytes(chunk.error) not in NOTHING:
            return (Failed(failure_of(chunk.error)),)
        if not chunk.choices:
            refuse_error(data)
        deltas: list[Delta] = []
        if not self._started:
            self._started = True
            deltas.append(Started(chunk.id, chunk.model, chunk.created))
        for choice in chunk.choices:
            self._choice(choice, deltas)
        raw = chunk.usage if chunk.x_groq is None or bytes(chunk.usage) not in NOTHING else chunk.x_groq.usage
        if bytes(raw) not in NOTHING and (usage := read_usage(raw)) is not None:
            deltas.append(Used(usage))
        return deltas

    def _choice(self, choice: ChoicePiece, deltas: list[Delta]) -> None:
        index = choice.index
        opened = self._candidates.get(index)
        if opened is None:
            opened = self._candidates[index] = _Open(index)
        if choice.delta is not None:
            self._said(index, opened, choice.delta, deltas)
        if choice.logprobs is not None and (tokens := read_tokens(choice.logprobs)):
            deltas.append(Weighed(index, tokens))
        if choice.finish_reason is not None and not opened.stopped:
            opened.stopped = True
            opened.close(deltas)
            while opened.waiting:
                _begin_call(index, opened, opened.waiting.pop(0), deltas)
                opened.close(deltas)
            if opened.late:
                opened.enter(Kind.TEXT, deltas)
                deltas.append(Piece(index, opened.part, Kind.TEXT, "".join(opened.late)))
                opened.close(deltas)
            safety = None if bytes(choice.content_filter_results) in NOTHING else choice.content_filter_results
            stop = stop_of(choice.finish_reason, called=bool(opened.calls))
            deltas.append(Stopped(index, stop, safety=safety, reason=own_word(stop, choice.finish_reason)))

    def _said(self, index: int, opened: _Open, said: Said, deltas: list[Delta]) -> None:
        if said.reasoning_content or said.reasoning or said.reasoning_details:
            for thought in read_thoughts(said):
                self._thought(index, opened, thought, deltas)
        if said.content:
            self._content(index, opened, said, deltas)
        for one in said.annotations or ():
            if (citation := read_citation(one)) is not None:
                opened.enter(Kind.TEXT, deltas)
                deltas.append(Cited(index, opened.part, citation))
        if said.refusal:
            opened.enter(Kind.REFUSAL, deltas)
            deltas.append(Piece(index, opened.part, Kind.REFUSAL, said.refusal))
        for call in said.tool_calls or ():
            _call(index, opened, call, deltas)

    def _content(self, index: int, opened: _Open, said: Said, deltas: list[Delta]) -> None:
        if isinstance(said.content, str):
            if opened.kind is Kind.TOOL_CALL and opened.current is not None and not opened.current.whole:
                opened.late.append(said.content)
                return
            opened.enter(Kind.TEXT, deltas)
            deltas.append(Piece(index, opened.part, Kind.TEXT, said.content))
            return
        for part in read_content(said):
            if isinstance(part, Reasoning):
                self._thought(index, opened, part, deltas)
            else:
                opened.enter(Kind.TEXT, deltas)
                deltas.append(Piece(index, opened.part, Kind.TEXT, part.text))

    def _thought(self, index: int, opened: _Open, thought: Reasoning, deltas: list[Delta]) -> None:
        """Go on with a thought; what is behind a signature is another one."""
        if opened.kind is not Kind.REASONING or opened.signed or (thought.redacted is not None and opened.thought):
            opened.close(deltas)
            opened.begin(Kind.REASONING, deltas)
            opened.thought, opened.signed = [], False
        # With its signature, some tell the whole thought once more.
        if thought.text and not (thought.signature and thought.text == "".join(opened.thought)):
            opened.thought.append(thought.text)
            deltas.append(Piece(index, opened.part, Kind.REASONING, thought.text))
        if thought.redacted is not None:
            opened.signed = True
            deltas.append(Signed(index, opened.part, thought.redacted, thought.origin, redacted=True))
        elif thought.signature is not None:
            opened.signed = True
            deltas.append(Signed(index, opened.part, thought.signature, thought.origin))


def _call(index: int, opened: _Open, piece: Call, deltas: list[Delta]) -> None:
    number = piece.index if piece.index is not None else len(opened.calls)
    more = piece.function.arguments if piece.function is not None else None
    call = opened.calls.get(number)
    if call is None:
        name = piece.function.name if piece.function is not None else None
        call = opened.calls[number] = _Call((piece.id or "", name or ""))
        if opened.current is None or opened.current.whole or opened.kind is not Kind.TOOL_CALL:
            _begin_call(index, opened, call, deltas)
        else:
            opened.waiting.append(call)
    if not more:
        return
    call.pieces.append(more)
    if call.part is None:
        return
    deltas.append(Piece(index, call.part, Kind.TOOL_CALL, more))
    while opened.waiting and opened.current is not None and opened.current.whole:
        _begin_call(index, opened, opened.waiting.pop(0), deltas)


def _begin_call(index: int, opened: _Open, call: _Call, deltas: list[Delta]) -> None:
    """Begin a call, with the pieces that waited for it."""
    opened.close(deltas)
    opened.begin(Kind.TOOL_CALL, deltas, call.head)
    opened.current, call.part = call, opened.part
    if call.pieces:
        deltas.append(Piece(index, call.part, Kind.TOOL_CALL, "".join(call.pieces)))
