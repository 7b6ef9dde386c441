"""Metering streams of the same dialect. Source: OpenAI API reference, "Streaming events" of responses."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.events import hold_to_text, read_event
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.responses.codec import estimate
from trunkline.dialects.responses.usage import read_usage
from trunkline.dialects.tokens import cut_short
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import data_of

ENDS: Final = frozenset({"response.completed", "response.incomplete"})
FAILS: Final = frozenset({"response.failed", "response.cancelled", "error"})


class ReadResponse(msgspec.Struct, frozen=True):
    """Of the whole response that some events carry, what metering reads."""

    model: str | None = None
    usage: msgspec.Raw = ABSENT


class Event(msgspec.Struct, frozen=True):
    """Of an event, what metering and the relay read. What `delta` is, depends on the event."""

    type: str = ""
    delta: msgspec.Raw = ABSENT
    response: ReadResponse | None = None


_decode = msgspec.json.Decoder(Event).decode
QUOTES: Final = 2


class ResponseStream:
    """Follows one stream: every event goes on as it is; what was used is read on the way."""

    __slots__ = ("_asked", "_produced", "_usage", "done", "failed", "model")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: Usage | None = None
        self._produced = 0
        self.done = False
        self.failed = False
        self.model = ""

    def take(self, event: bytes) -> bytes:
        """Read one whole event, and return it.

        Raises:
            Garbled: the event is no text, or its data is not JSON.
        """
        data = data_of(event)
        if not data:
            hold_to_text(event)
            return event
        if data == b"[DONE]":
            return event
        read = read_event(_decode, data)
        if read is None:
            self._produced += len(data)
            return event
        if read.delta is not ABSENT:
            self._produced += len(memoryview(read.delta)) - QUOTES
        elif read.response is not None or read.type in FAILS:
            self._note(read)
        return event

    def _note(self, read: Event) -> None:
        if read.response is not None:
            self.model = read.response.model or self.model
            self._usage = read_usage(read.response.usage) or self._usage
        if read.type in ENDS:
            self.done = True
        elif read.type in FAILS:
            self.failed = True

    def end(self) -> bytes:
        """Return nothing: the last event of this dialect is the answer, which nobody else can write."""
        return b""

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return self.done

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage; of a cut stream the larger of its last word and what was counted."""
        if self._usage is not None and (complete or self.done):
            return self._usage
        return cut_short(self._usage, estimate(self._asked, self._produced))
