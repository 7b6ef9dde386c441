"""Refusals in OpenAI's shape. Source: OpenAI API reference, "Errors"; the official SDKs' status-to-error tables."""

from __future__ import annotations

import msgspec

from trunkline.errors import Refusal

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of a refusal: `{"error": {"message", "type", "param", "code"}}`."""
    return msgspec.json.encode({"error": _error(refusal)})


def error_event(refusal: Refusal) -> bytes:
    """Return the stream event that ends a broken stream; the official SDKs raise on it."""
    return b"data: " + refusal_body(refusal) + b"\n\n"


def _error(refusal: Refusal) -> dict[str, str | None]:
    return {
        "message": refusal.message,
        "type": TYPES.get(refusal.status, "server_error"),
        "param": refusal.param,
        "code": refusal.code,
    }
