"""Answers that are worked on without their callers.

Source: OpenAI guide "Background mode"; OpenAI API reference, "Get a model response" (`stream`, `starting_after`),
"Cancel a response", "Streaming events".
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from trunkline.dialects.keeping import LateAnswers, Marks
from trunkline.dialects.responses.answers import response
from trunkline.dialects.responses.errors import error_event
from trunkline.dialects.responses.kept import marked
from trunkline.errors import Malformed, RateLimited, Refusal, UpstreamFailed
from trunkline.messages import Asked
from trunkline.wire.sse import data_of

CREATED: Final = "response.created"
FAILED: Final = "failed"
FALSE: Final = ("false", "0", "")
CODES: Final = MappingProxyType({400: "invalid_prompt", 429: "rate_limit_exceeded"})
"""What OpenAI calls what an answer failed of, by the status that a call would have been refused with."""
OTHERS: Final = "server_error"

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class _Error(msgspec.Struct, frozen=True):
    code: Any = None
    message: str | None = None


class _Failing(msgspec.Struct, frozen=True):
    error: _Error | None = None
    response: _Failing | None = None
    type: str = ""


_decode_failing = msgspec.json.Decoder(_Failing).decode


def begun(asked: Asked, marks: Marks, created: int) -> bytes:
    """Return an answer that waits to be worked on."""
    told = response(asked, marks.id, "", created) | {"status": "queued"}
    return marked(_decode_fields(_encode(told)), marks)


def begun_event(answer: bytes) -> bytes:
    """Return the event that begins a stream."""
    return _event(CREATED, answer, 0)


def running(answer: bytes) -> bytes:
    """Return an answer that is worked on."""
    return _restated(answer, "in_progress", None)


def cancelled(answer: bytes) -> bytes:
    """Return an answer that its caller wants no more."""
    return _restated(answer, "cancelled", None)


def failed(answer: bytes, refusal: Refusal) -> bytes:
    """Return an answer that failed of what a call would have been refused for."""
    code = CODES.get(refusal.status, OTHERS)
    return _restated(answer, FAILED, {"code": code, "message": f"{refusal.message} (code: {refusal.code})"})


def _restated(answer: bytes, status: str, error: dict[str, Any] | None) -> bytes:
    told = {"status": status, "error": error}
    return _encode(_decode_fields(answer) | {name: msgspec.Raw(_encode(value)) for name, value in told.items()})


def is_late(answer: bytes) -> bool:
    """Whether an answer was worked on without its caller."""
    return bytes(_decode_fields(answer).get("background", b"")) == b"true"


def ending(answer: bytes) -> bytes:
    """Return the event that ends a stream without a whole answer."""
    status = str(_decode(answer).get("status"))
    return _event(f"response.{status}", answer, 0)


def _event(kind: str, answer: bytes, number: int) -> bytes:
    told = {"type": kind, "response": msgspec.Raw(answer), "sequence_number": number}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(told))


def number(event: bytes, place: int) -> bytes:
    """Return an event under a number; nothing for what has no data, and for the one by which streams begin."""
    data = data_of(event)
    try:
        fields = _decode_fields(data)
        kind = str(msgspec.json.decode(fields["type"]))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return b""
    if kind == CREATED:
        return b""
    fields["sequence_number"] = msgspec.Raw(_encode(place))
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(fields))


def fails(told: bytes) -> Refusal | None:
    """Return what an event, or a body, says that an answer failed of; None where it says nothing of the kind."""
    data = data_of(told) or told
    try:
        read = _decode_failing(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    within = read.error or (read.response.error if read.response is not None else None)
    if within is None:
        return None
    code = within.code if isinstance(within.code, str) else None
    message = within.message or "The answer failed."
    if code in CODES.values():
        return (Malformed if code == CODES[400] else RateLimited)(message, code=code)
    return UpstreamFailed(message, code=code)


def following(query: str) -> int | None:
    """Return after which event a query wants the stream told again; None where it wants the answer.

    Raises:
        Malformed: it names no number, or one without wanting a stream.
    """
    asks = {name: values[-1] for name, values in parse_qs(query).items()}
    after = asks.get("starting_after")
    if asks.get("stream", "false").lower() in FALSE:
        if after is not None:
            raise _wrong("`starting_after` goes with `stream=true`.", "starting_after")
        return None
    if after is None:
        return -1
    if not after.isdecimal() or len(after) > len(str(2**60)):
        raise _wrong("`starting_after` must be the `sequence_number` of an event.", "starting_after")
    return int(after)


def _wrong(message: str, param: str) -> Malformed:
    return Malformed(message, code="invalid_value", param=param)


LATE: Final = LateAnswers(
    begun=begun,
    begun_event=begun_event,
    running=running,
    cancelled=cancelled,
    failed=failed,
    is_late=is_late,
    error_event=error_event,
    ending=ending,
    number=number,
    fails=fails,
    following=following,
)
