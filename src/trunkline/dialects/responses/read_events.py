"""Streams of upstreams into the neutral form. Source: OpenAI API reference, "Streaming events" of responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from trunkline.dialects.deltas import (
    ENDED,
    Cited,
    Delta,
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
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.responses.answers import (
    Annotation,
    Likelihood,
    ReadContent,
    ReadItem,
    ReadResponse,
    read_citation,
    read_tokens,
    stop_of,
)
from trunkline.dialects.responses.codec import DIALECT
from trunkline.dialects.responses.errors import failure_of
from trunkline.dialects.responses.thoughts import BETWEEN, of_provider
from trunkline.dialects.responses.usage import read_usage
from trunkline.errors import Garbled
from trunkline.wire.sse import data_of

WORDS: Final = {"output_text": Kind.TEXT, "refusal": Kind.REFUSAL}
WHOLE: Final = -1
"""Stands for the place within an item where the item is one part."""


class ReadEvent(msgspec.Struct, frozen=True):
    """One event."""

    type: str = ""
    response: ReadResponse | None = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: msgspec.Raw = ABSENT
    part: ReadContent | None = None
    delta: msgspec.Raw = ABSENT
    arguments: str | None = None
    annotation: Annotation | None = None
    logprobs: tuple[Likelihood, ...] | None = None
    error: msgspec.Raw = ABSENT
    code: str | None = None
    message: str | None = None


class _Open:
    """A part that goes on: its number, what it is, and whether anything came of it yet."""

    __slots__ = ("kind", "part", "said")

    def __init__(self, part: int, kind: Kind) -> None:
        self.part = part
        self.kind = kind
        self.said = False


_decode = msgspec.json.Decoder(ReadEvent).decode
_decode_item = msgspec.json.Decoder(ReadItem).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class ResponseReader:
    """Reads one stream. Items of kinds that only OpenAI has are left out, and the parts of the others numbered."""

    __slots__ = ("_called", "_open", "_parts")

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Open] = {}
        self._parts = 0
        self._called = False

    def take(self, event: bytes) -> Sequence[Delta]:
        """Read one whole event.

        Raises:
            Garbled: it is none of a response's stream.
        """
        data = data_of(event)
        if not data or data == b"[DONE]":
            return ()
        try:
            read = _decode(data)
            tell = self._TELL.get(read.type)
            return () if tell is None else tell(self, read)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Garbled("an event of the stream is none of a response", inside=f"{error}; {data[:200]!r}") from error

    def _start(self, read: ReadEvent) -> Sequence[Delta]:
        response = read.response or ReadResponse()
        return (Started(response.id, response.model, int(response.created_at)),)

    def _begin(self, place: tuple[int, int], kind: Kind, call: tuple[str, str] = ("", "")) -> PartStarted:
        opened = self._open[place] = _Open(self._parts, kind)
        self._parts += 1
        return PartStarted(0, opened.part, kind, *call)

    def _begin_item(self, read: ReadEvent) -> Sequence[Delta]:
        item, place = _decode_item(read.item), (read.output_index, WHOLE)
        if item.type == "reasoning":
            return (self._begin(place, Kind.REASONING),)
        if item.type == "function_call":
            self._called = True
            begun = self._begin(place, Kind.TOOL_CALL, (item.call_id or "", item.name or ""))
            return (begun, *self._more(place, item.arguments))
        return ()

    def _begin_words(self, read: ReadEvent) -> Sequence[Delta]:
        kind = WORDS.get(read.part.type) if read.part is not None else None
        if kind is None or read.part is None:
            return ()
        place = (read.output_index, read.content_index)
        return (self._begin(place, kind), *self._more(place, read.part.text or read.part.refusal))

    def _more(self, place: tuple[int, int], said: str | None) -> Sequence[Delta]:
        opened = self._open.get(place)
        if not said or opened is None:
            return ()
        opened.said = True
        return (Piece(0, opened.part, opened.kind, said),)

    def _say(self, read: ReadEvent) -> Sequence[Delta]:
        place = (read.output_index, read.content_index)
        told: list[Delta] = []
        if place not in self._open:
            told.append(self._begin(place, Kind.REFUSAL if "refusal" in read.type else Kind.TEXT))
        told.extend(self._more(place, _decode_text(read.delta)))
        if tokens := read_tokens(read.logprobs):
            told.append(Weighed(0, tokens))
        return told

    def _of_item(self, read: ReadEvent) -> Sequence[Delta]:
        return self._more((read.output_index, WHOLE), _decode_text(read.delta))

    def _call(self, read: ReadEvent) -> Sequence[Delta]:
        """The arguments of a call, whole; most often they came in pieces before."""
        opened = self._open.get((read.output_index, WHOLE))
        return () if opened is None or opened.said else self._more((read.output_index, WHOLE), read.arguments)

    def _paragraph(self, read: ReadEvent) -> Sequence[Delta]:
        return self._more((read.output_index, WHOLE), BETWEEN) if read.summary_index else ()

    def _cite(self, read: ReadEvent) -> Sequence[Delta]:
        opened = self._open.get((read.output_index, read.content_index))
        if opened is None or read.annotation is None:
            return ()
        return (Cited(0, opened.part, read_citation(read.annotation)),)

    def _stop_words(self, read: ReadEvent) -> Sequence[Delta]:
        opened = self._open.pop((read.output_index, read.content_index), None)
        return () if opened is None else (PartStopped(0, opened.part),)

    def _stop_item(self, read: ReadEvent) -> Sequence[Delta]:
        """An item is whole; what its pieces did not tell, it tells itself."""
        place = (read.output_index, WHOLE)
        opened = self._open.get(place)
        if opened is None:
            return ()
        item = _decode_item(read.item)
        told: list[Delta] = []
        if not opened.said:
            words = item.summary or item.content or ()
            said = (
                item.arguments or "{}" if opened.kind is Kind.TOOL_CALL else BETWEEN.join(w.text or "" for w in words)
            )
            told.extend(self._more(place, said))
        if item.encrypted_content:
            thought = of_provider(item.id or "", item.encrypted_content, "said" if opened.said else "")
            sealed = thought.signature or thought.redacted or ""
            told.append(Signed(0, opened.part, sealed, DIALECT, redacted=thought.redacted is not None))
        del self._open[place]
        return (*told, PartStopped(0, opened.part))

    def _end(self, read: ReadEvent) -> Sequence[Delta]:
        response = read.response or ReadResponse()
        told: list[Delta] = [PartStopped(0, opened.part) for opened in self._open.values()]
        self._open.clear()
        told.append(Stopped(0, stop_of(response, called=self._called)))
        usage = read_usage(response.usage)
        if usage is not None:
            told.append(Used(usage))
        return (*told, ENDED)

    def _fail(self, read: ReadEvent) -> Sequence[Delta]:
        error = read.response.error if read.response is not None else read.error
        if bytes(error) in NOTHING:
            error = msgspec.Raw(_encode({"code": read.code, "message": read.message}))
        return (Failed(failure_of(error)),)

    _TELL: ClassVar[dict[str, Callable[[Any, ReadEvent], Sequence[Delta]]]] = {
        "response.output_text.delta": _say,
        "response.function_call_arguments.delta": _of_item,
        "response.reasoning_summary_text.delta": _of_item,
        "response.reasoning_text.delta": _of_item,
        "response.refusal.delta": _say,
        "response.created": _start,
        "response.output_item.added": _begin_item,
        "response.content_part.added": _begin_words,
        "response.reasoning_summary_part.added": _paragraph,
        "response.output_text.annotation.added": _cite,
        "response.function_call_arguments.done": _call,
        "response.content_part.done": _stop_words,
        "response.output_item.done": _stop_item,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _fail,
        "response.cancelled": _fail,
        "error": _fail,
    }
