"""Metering streams of the same dialect. Source: Claude API reference, "Streaming messages"."""

from __future__ import annotations

import msgspec

from trunkline.dialects.anthropic.codec import estimate
from trunkline.dialects.anthropic.usage import UsageFields, as_billed, merge, read_fields
from trunkline.dialects.events import hold_to_text, read_event
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.tokens import cut_short
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import data_of

END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class StartedMessage(msgspec.Struct, frozen=True):
    """Of the message that begins, what metering reads."""

    model: str = ""
    usage: msgspec.Raw = ABSENT


class Said(msgspec.Struct, frozen=True):
    """Of a piece, how much it is, and whether it tells the end."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Event(msgspec.Struct, frozen=True):
    """Of an event, what metering and the relay read."""

    type: str = ""
    delta: Said | None = None
    message: StartedMessage | None = None
    usage: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(Event).decode


class MessageStream:
    """Follows one stream: every event goes on as it is; what was used is read on the way."""

    __slots__ = ("_asked", "_produced", "_stopped", "_usage", "done", "failed", "model")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: UsageFields | None = None
        self._produced = 0
        self._stopped = False
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
        read = read_event(_decode, data)
        if read is None:
            self._produced += len(data)
            return event
        said = read.delta
        if said is not None:
            if said.stop_reason is not None:
                self._stopped = True
            else:
                self._produced += len(said.text or said.partial_json or said.thinking or "")
        elif read.message is not None:
            self.model = read.message.model
            self._usage = read_fields(read.message.usage)
        elif read.type == "message_stop":
            self.done = True
        elif read.type == "error":
            self.failed = True
        if bytes(read.usage) not in NOTHING:
            self._usage = merge(self._usage, read_fields(read.usage))
        return event

    def end(self) -> bytes:
        """Return the mark of the end, where the upstream sent none."""
        return b"" if self.done else END

    @property
    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return not self.failed and (self.done or self._stopped)

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage; of a cut stream the larger of its last word and what was counted."""
        billed = as_billed(self._usage)
        if billed is not None and (complete or self._stopped):
            return billed
        return cut_short(billed, estimate(self._asked, self._produced))
