"""Refusals in Anthropic's shape, and what its errors mean. Source: Claude API reference, "Errors"."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.errors import Refusal

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    414: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "invalid_request_error",
    503: "overloaded_error",
    504: "timeout_error",
    505: "invalid_request_error",
}
TROUBLES: Final = {
    "invalid_request_error": Trouble.INVALID,
    "authentication_error": Trouble.AUTHENTICATION,
    "billing_error": Trouble.QUOTA,
    "permission_error": Trouble.PERMISSION,
    "not_found_error": Trouble.NOT_FOUND,
    "request_too_large": Trouble.TOO_LARGE,
    "rate_limit_error": Trouble.RATE,
    "timeout_error": Trouble.TIMEOUT,
    "api_error": Trouble.SERVER,
    "overloaded_error": Trouble.OVERLOADED,
}
STATUSES: Final = {
    400: Trouble.INVALID,
    401: Trouble.AUTHENTICATION,
    402: Trouble.QUOTA,
    403: Trouble.PERMISSION,
    404: Trouble.NOT_FOUND,
    413: Trouble.TOO_LARGE,
    429: Trouble.RATE,
    503: Trouble.OVERLOADED,
    504: Trouble.TIMEOUT,
    529: Trouble.OVERLOADED,
}
# The API has no type of its own for these: only its words tell them from other invalid requests.
TOO_LONG: Final = ("prompt is too long", "exceed context limit", "exceeds the maximum", "context window")
FILTERED: Final = ("content filtering policy",)
# Where a status says this, a type that says nothing does not gainsay it.
PLAIN: Final = (Trouble.OVERLOADED, Trouble.TIMEOUT)
SPENT: Final = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})


class Details(msgspec.Struct, frozen=True):
    """What tells one error of a type from another."""

    error_code: str | None = None


class Why(msgspec.Struct, frozen=True):
    """The error object."""

    type: str = ""
    message: str = ""
    details: Details | None = None


class Body(msgspec.Struct, frozen=True):
    """What stands around it."""

    error: Why
    request_id: str | None = None


_decode = msgspec.json.Decoder(Body).decode
_decode_why = msgspec.json.Decoder(Why).decode
_encode = msgspec.json.Encoder().encode


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of a refusal; beside Anthropic's own fields it has our `code` and `param`."""
    error: dict[str, Any] = {
        "type": TYPES.get(refusal.status, "api_error"),
        "message": refusal.message,
        "code": refusal.code,
        "param": refusal.param,
    }
    return _encode({"type": "error", "error": error})


def error_event(refusal: Refusal) -> bytes:
    """Return the stream event that ends a broken stream; the official SDKs raise on it."""
    return b"event: error\ndata: " + refusal_body(refusal) + b"\n\n"


def read_failure(status: int, body: bytes) -> Failure:
    """Read what an upstream's error means; one that cannot be read means what its status says."""
    otherwise = STATUSES.get(status, Trouble.SERVER)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(otherwise)
    return _failure(read.error, otherwise, read.request_id or "")


def failure_of(error: msgspec.Raw) -> Failure:
    """Read the error object of a stream's event."""
    try:
        return _failure(_decode_why(error), Trouble.SERVER, "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(Trouble.SERVER)


def _failure(why: Why, otherwise: Trouble, request_id: str) -> Failure:
    trouble = TROUBLES.get(why.type, otherwise)
    said = why.message.lower()
    if trouble is Trouble.INVALID and any(words in said for words in TOO_LONG):
        trouble = Trouble.CONTEXT
    elif trouble is Trouble.INVALID and any(words in said for words in FILTERED):
        trouble = Trouble.FILTERED
    elif trouble is Trouble.SERVER and otherwise in PLAIN:
        trouble = otherwise
    elif trouble is Trouble.RATE and why.details is not None and why.details.error_code in SPENT:
        trouble = Trouble.QUOTA
    return Failure(trouble, why.message, why.type, request_id=request_id)
