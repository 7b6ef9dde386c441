"""Streamed chat answers. Source: OpenAI API reference, "The chat completion chunk object"."""

from __future__ import annotations

import msgspec

from trunkline.dialects.events import hold_to_text, read_event
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.openai.codec import Said, estimate
from trunkline.dialects.openai.usage import Groq, read_usage
from trunkline.dialects.tokens import cut_short
from trunkline.errors import Declined
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import data_of

DONE = b"data: [DONE]\n\n"
QUOTED = 500
"""Bytes of an error that are kept, where they may be."""


class ChunkChoice(msgspec.Struct, frozen=True):
    """Of one answer's piece, what tells how much it is and whether it is the last."""

    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """Of an event, what metering and the relay read."""

    choices: list[ChunkChoice] | None = None
    usage: msgspec.Raw = ABSENT
    model: str | None = None
    error: msgspec.Raw = ABSENT
    x_groq: Groq | None = None


class Kind(msgspec.Struct, frozen=True):
    """What an event is. A piece of an answer is a `chat.completion.chunk`."""

    object: str = ""


_decode = msgspec.json.Decoder(Chunk).decode
_decode_kind = msgspec.json.Decoder(Kind).decode


def refuse_error(data: bytes) -> None:
    """Refuse an event that is an error object itself, as vLLM wrote them for long: official SDKs do not see it is one.

    Raises:
        Declined: it is.
    """
    kind = read_event(_decode_kind, data)
    if kind is not None and kind.object == "error":
        raise Declined("it ended the stream with an error", status=200, said=data[:QUOTED].decode(errors="replace"))


class ChatStream:
    """Follows one stream: takes each event, says what of it goes on to the caller, and knows what was used so far.

    Usage is read from whole events only. An event that carries nothing but usage, which the exchange asked for and
    the caller did not, is kept back.
    """

    __slots__ = ("_asked", "_finished", "_produced", "_usage", "done", "failed", "model")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: Usage | None = None
        self._produced = 0
        self._finished: set[int] = set()
        self.done = False
        self.failed = False
        self.model = ""

    def take(self, event: bytes) -> bytes:
        """Read one whole event; return it where it is the caller's.

        Raises:
            Garbled: the event is no text, or its data is not JSON.
            Declined: it is an error in a form that official SDKs do not see as one.
        """
        data = data_of(event)
        if not data:
            hold_to_text(event)
            return event
        if data == b"[DONE]":
            self.done = not self.failed  # Some servers end a stream so behind an error, too.
            return event if self.done else b""
        chunk = read_event(_decode, data)
        if chunk is None:
            self._produced += len(data)
            return event
        if chunk.choices is None and chunk.error is ABSENT:
            refuse_error(data)
        return event if self._read(chunk) else b""

    def end(self) -> bytes:
        """Return the mark of the end, where the upstream sent none."""
        return b"" if self.done else DONE

    def _read(self, chunk: Chunk) -> bool:
        if chunk.error is not ABSENT and bytes(chunk.error) not in NOTHING:
            self.failed = True
        if chunk.model and not self.model:
            self.model = chunk.model
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._produced += choice.delta.size
            if choice.finish_reason is not None:
                self._finished.add(choice.index)
        if chunk.usage is ABSENT or bytes(chunk.usage) in NOTHING:
            if chunk.x_groq is not None:
                self._usage = read_usage(chunk.x_groq.usage) or self._usage
            return True
        self._usage = read_usage(chunk.usage) or self._usage
        return bool(chunk.choices) or self._asked.wants_usage or self.failed

    @property
    def whole(self) -> bool:
        """Whether every answer asked for has come to its end."""
        return not self.failed and (self.done or len(self._finished) >= self._asked.answers)

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage; of a cut stream the larger of its last word and what was counted."""
        if self._usage is not None and complete:
            return self._usage
        return cut_short(self._usage, estimate(self._asked, self._produced))
