"""Refusals in Cohere's shape, and what its errors mean. Source: Cohere documentation, "Errors (status codes)"."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.errors import Refusal

STATUSES: Final = {
    400: Trouble.INVALID,
    401: Trouble.AUTHENTICATION,
    402: Trouble.QUOTA,
    403: Trouble.PERMISSION,
    404: Trouble.NOT_FOUND,
    408: Trouble.TIMEOUT,
    413: Trouble.TOO_LARGE,
    422: Trouble.INVALID,
    429: Trouble.RATE,
    498: Trouble.FILTERED,
    503: Trouble.OVERLOADED,
    504: Trouble.TIMEOUT,
}
# There are no codes: only the words tell these from other invalid requests.
TOO_LONG: Final = ("too many tokens", "context length", "prompt is too long")


class Body(msgspec.Struct, frozen=True):
    """An error."""

    message: str | None = None


_decode = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of a refusal; beside Cohere's `message` it has our `code` and `param`."""
    return _encode({"message": refusal.message, "code": refusal.code, "param": refusal.param})


def error_event(refusal: Refusal) -> bytes:
    """Return the event that ends a broken stream: Cohere tells an error as the end of the message."""
    ended = {
        "type": "message-end",
        "delta": {"finish_reason": "ERROR", "error": refusal.message, "code": refusal.code, "param": refusal.param},
    }
    return b"event: message-end\ndata: " + _encode(ended) + b"\n\n"


def read_failure(status: int, body: bytes) -> Failure:
    """Read what an upstream's error means; one that cannot be read means what its status says."""
    otherwise = STATUSES.get(status, Trouble.SERVER)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(otherwise)
    return failure_of(read.message or "", otherwise)


def failure_of(message: str, otherwise: Trouble = Trouble.SERVER) -> Failure:
    """Read the message of an error."""
    said = message.lower()
    too_long = otherwise is Trouble.INVALID and any(words in said for words in TOO_LONG)
    return Failure(Trouble.CONTEXT if too_long else otherwise, message)
