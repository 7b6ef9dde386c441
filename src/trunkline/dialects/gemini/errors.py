"""Refusals in Google's shape, and what its errors mean.

Source: Gemini API documentation, "Troubleshooting guide"; Google Cloud, "Errors" (`google.rpc.Status`, and of its
details `ErrorInfo`, `BadRequest`, `QuotaFailure`, `RetryInfo`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.errors import Refusal

STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    414: "INVALID_ARGUMENT",
    417: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    505: "UNIMPLEMENTED",
}
TROUBLES: Final = {
    "INVALID_ARGUMENT": Trouble.INVALID,
    "FAILED_PRECONDITION": Trouble.INVALID,
    "OUT_OF_RANGE": Trouble.INVALID,
    "UNAUTHENTICATED": Trouble.AUTHENTICATION,
    "PERMISSION_DENIED": Trouble.PERMISSION,
    "NOT_FOUND": Trouble.NOT_FOUND,
    "RESOURCE_EXHAUSTED": Trouble.RATE,
    "UNAVAILABLE": Trouble.OVERLOADED,
    "DEADLINE_EXCEEDED": Trouble.TIMEOUT,
    "INTERNAL": Trouble.SERVER,
}
BY_CODE: Final = {
    400: Trouble.INVALID,
    401: Trouble.AUTHENTICATION,
    403: Trouble.PERMISSION,
    404: Trouble.NOT_FOUND,
    413: Trouble.TOO_LARGE,
    429: Trouble.RATE,
    503: Trouble.OVERLOADED,
    504: Trouble.TIMEOUT,
}
TYPE: Final = "type.googleapis.com/google.rpc."
BAD_KEYS: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED"})
"""Reasons of requests that are refused as invalid, because their key is."""
TOO_LONG: Final = ("exceeds the maximum number of tokens", "exceeds the maximum number of input tokens")
"""A prompt that is too long has no reason of its own: only the words tell it from other invalid requests."""
BY_DAY: Final = "PerDay"
"""In the name of a quota that waiting for a moment does not fill again."""


class Violation(msgspec.Struct, frozen=True, rename="camel"):
    """A field that is at fault, or a quota that is used up."""

    field: str | None = None
    quota_id: str | None = None


class Detail(msgspec.Struct, frozen=True, rename="camel"):
    """One of the details."""

    reason: str | None = None
    field_violations: tuple[Violation, ...] | None = None
    violations: tuple[Violation, ...] | None = None


class Why(msgspec.Struct, frozen=True):
    """The error object."""

    code: int | None = None
    message: str = ""
    status: str = ""
    details: tuple[Detail, ...] | None = None


class Body(msgspec.Struct, frozen=True):
    """What stands around it."""

    error: Why


_decode = msgspec.json.Decoder(Body | list[Body]).decode
_decode_why = msgspec.json.Decoder(Why).decode
_encode = msgspec.json.Encoder().encode


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of a refusal; our `code` is the reason, and a field at fault is a violation."""
    info: dict[str, Any] = {"@type": f"{TYPE}ErrorInfo", "reason": refusal.code.upper(), "domain": "trunkline"}
    details = [info]
    if refusal.param is not None:
        violation = {"field": refusal.param, "description": refusal.message}
        details.append({"@type": f"{TYPE}BadRequest", "fieldViolations": [violation]})
    if refusal.retry_after is not None:
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": f"{refusal.retry_after}s"})
    status = STATUSES.get(refusal.status, "INTERNAL")
    error = {"code": refusal.status, "message": refusal.message, "status": status, "details": details}
    return _encode({"error": error})


def error_event(refusal: Refusal) -> bytes:
    """Return the stream event that ends a broken stream; the official SDK raises on it."""
    return b"data: " + refusal_body(refusal) + b"\n\n"


def read_failure(status: int, body: bytes) -> Failure:
    """Read what an upstream's error means; one that cannot be read means what its status says.

    A refused stream that was asked for as an array has its error within one.
    """
    otherwise = BY_CODE.get(status, Trouble.SERVER)
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(otherwise)
    if isinstance(read, list):
        if not read:
            return Failure(otherwise)
        read = read[0]
    return _failure(read.error, otherwise)


def failure_of(error: msgspec.Raw) -> Failure:
    """Read the error object of a stream's event."""
    try:
        return _failure(_decode_why(error), Trouble.SERVER)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(Trouble.SERVER)


def _failure(why: Why, otherwise: Trouble) -> Failure:
    details = why.details or ()
    reason = next((one.reason for one in details if one.reason), "")
    param = next((one.field_violations[0].field for one in details if one.field_violations), None)
    trouble = TROUBLES.get(why.status, otherwise)
    if trouble is Trouble.INVALID and otherwise is Trouble.TOO_LARGE:
        trouble = otherwise
    elif trouble is Trouble.INVALID and reason in BAD_KEYS:
        trouble = Trouble.AUTHENTICATION
    elif trouble is Trouble.INVALID and any(words in why.message for words in TOO_LONG):
        trouble = Trouble.CONTEXT
    elif trouble is Trouble.RATE and any(BY_DAY in (quota.quota_id or "") for one in details for quota in one.violations or ()):  # fmt: skip  # noqa: E501
        trouble = Trouble.QUOTA
    return Failure(trouble, why.message, reason or why.status, param)
