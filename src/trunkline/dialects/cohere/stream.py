"""Metering streams of the same dialect. Source: Cohere documentation, "A guide to streaming responses"."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.cohere.codec import estimate
from trunkline.dialects.cohere.usage import read_usage
from trunkline.dialects.events import hold_to_text, read_event
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import data_of

DONE: Final = b"[DONE]"
END: Final = b'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\n'
ENDED: Final = "message-end"
NO_CALLS: Final = (*NOTHING, b"[]")


class PieceFields(msgspec.Struct, frozen=True):
    """Of a piece of content, how much it is."""

    text: str | None = None
    thinking: str | None = None


class MessageFields(msgspec.Struct, frozen=True):
    """Of a piece of the message, how much it is."""

    content: PieceFields | list[msgspec.Raw] | None = None
    tool_plan: str | None = None
    tool_calls: msgspec.Raw = ABSENT


class DeltaFields(msgspec.Struct, frozen=True):
    """Of what an event tells, what metering reads."""

    message: MessageFields | None = None
    usage: msgspec.Raw = ABSENT
    error: str | None = None


class Event(msgspec.Struct, frozen=True):
    """Of an event, what metering and the relay read."""

    type: str = ""
    delta: DeltaFields | None = None
    model: str | None = None


_decode = msgspec.json.Decoder(Event).decode


class ChatStream:
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
        if not data or data == DONE:
            hold_to_text(event)
            return event
        read = read_event(_decode, data)
        if read is None:
            self._produced += len(data)
            return event
        if read.model:
            self.model = read.model
        told = read.delta
        if told is not None and told.message is not None:
            self._produced += _size(told.message)
        if read.type == ENDED:
            self.failed = told is not None and told.error is not None
            self.done = not self.failed
            if told is not None:
                self._usage = read_usage(told.usage) or self._usage
        return event

    def end(self) -> bytes:
        """Return the mark of the end, where the upstream sent none."""
        return b"" if self.done else END

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return self.done

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage, which comes with the last event; before it, what was counted."""
        del complete
        return estimate(self._asked, self._produced) if self._usage is None else self._usage


def _size(message: MessageFields) -> int:
    size = len(message.tool_plan or "")
    if isinstance(message.content, PieceFields):
        size += len(message.content.text or "") + len(message.content.thinking or "")
    calls = bytes(message.tool_calls)
    return size if calls in NO_CALLS else size + len(calls)
