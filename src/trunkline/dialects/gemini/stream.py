"""Metering streams of the same dialect. Source: Gemini API reference, "Method: models.streamGenerateContent"."""

from __future__ import annotations

import msgspec

from trunkline.dialects.events import hold_to_text, read_event
from trunkline.dialects.fields import NOTHING
from trunkline.dialects.gemini.codec import AnswerFields, estimate
from trunkline.dialects.gemini.usage import read_usage
from trunkline.dialects.tokens import cut_short
from trunkline.messages import Asked, Usage
from trunkline.wire.sse import data_of

_decode = msgspec.json.Decoder(AnswerFields).decode


class ContentStream:
    """Follows one stream: every event goes on as it is. No event marks the end: each candidate says why it ended."""

    __slots__ = ("_asked", "_blocked", "_finished", "_produced", "_usage", "done", "failed", "model")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._usage: Usage | None = None
        self._produced = 0
        self._finished: set[int] = set()
        self._blocked = False
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
        self._produced += read.size
        if not self.model and read.model_version:
            self.model = read.model_version
        for candidate in read.candidates or ():
            if candidate.finish_reason is not None:
                self._finished.add(candidate.index)
        if read.prompt_feedback is not None and read.prompt_feedback.block_reason is not None:
            self._blocked = True
        if bytes(read.error) not in NOTHING:
            self.failed = True
        if bytes(read.usage_metadata) not in NOTHING:
            self._usage = read_usage(read.usage_metadata) or self._usage
        return event

    def end(self) -> bytes:
        """Return nothing: where the stream ends is all that tells it."""
        return b""

    @property
    def whole(self) -> bool:
        """Whether every answer asked for has come to its end."""
        return not self.failed and (self._blocked or len(self._finished) >= self._asked.answers)

    def used(self, *, complete: bool) -> Usage:
        """Return the upstream's own usage; of a cut stream the larger of its last word and what was counted."""
        if self._usage is not None and (complete or self.whole):
            return self._usage
        return cut_short(self._usage, estimate(self._asked, self._produced))
