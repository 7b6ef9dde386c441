"""Refusals in OpenAI's shape, and what its errors mean.

Source: OpenAI API reference, "Errors"; the official SDKs' status-to-error tables.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.neutral import Failure, Trouble
from trunkline.errors import Refusal

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    414: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "invalid_request_error",
    505: "invalid_request_error",
}
BY_CODE: Final = {
    "context_length_exceeded": Trouble.CONTEXT,
    "string_above_max_length": Trouble.CONTEXT,
    "content_filter": Trouble.FILTERED,
    "content_policy_violation": Trouble.FILTERED,
    "insufficient_quota": Trouble.QUOTA,
    "rate_limit_exceeded": Trouble.RATE,
    "invalid_api_key": Trouble.AUTHENTICATION,
    "model_not_found": Trouble.NOT_FOUND,
}
BY_TYPE: Final = {
    # llama.cpp's server has no codes of this kind, but a type.
    "exceed_context_size_error": Trouble.CONTEXT,
    "invalid_request_error": Trouble.INVALID,
    "authentication_error": Trouble.AUTHENTICATION,
    "permission_error": Trouble.PERMISSION,
    "not_found_error": Trouble.NOT_FOUND,
    "rate_limit_error": Trouble.RATE,
    "insufficient_quota": Trouble.QUOTA,
}
BY_STATUS: Final = {
    400: Trouble.INVALID,
    401: Trouble.AUTHENTICATION,
    403: Trouble.PERMISSION,
    404: Trouble.NOT_FOUND,
    408: Trouble.TIMEOUT,
    409: Trouble.INVALID,
    413: Trouble.TOO_LARGE,
    402: Trouble.QUOTA,
    415: Trouble.INVALID,
    422: Trouble.INVALID,
    429: Trouble.RATE,
    503: Trouble.OVERLOADED,
    504: Trouble.TIMEOUT,
    529: Trouble.OVERLOADED,
}
# Most that speak this dialect give no code for these (vLLM, DeepSeek, Mistral, Ollama): only their words tell.
TOO_LONG: Final = ("context length", "maximum prompt length", "context window", "prompt is too long")


class Why(msgspec.Struct, frozen=True):
    """The error object. Some vendors number their codes."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class Body(msgspec.Struct, frozen=True):
    """What stands around it. Some have the fields of the error object without one (Mistral, vLLM, SGLang, Cohere)."""

    error: Why | str | None = None
    message: msgspec.Raw = msgspec.Raw(b"")
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


_decode = msgspec.json.Decoder(Body).decode
_decode_why = msgspec.json.Decoder(Why | str).decode


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of a refusal: `{"error": {"message", "type", "param", "code"}}`."""
    return msgspec.json.encode({"error": _error(refusal)})


def error_event(refusal: Refusal) -> bytes:
    """Return the stream event that ends a broken stream; the official SDKs raise on it."""
    return b"data: " + refusal_body(refusal) + b"\n\n"


def read_failure(status: int, body: bytes) -> Failure:
    """Read what an upstream's error means; one that cannot be read means what its status says."""
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(BY_STATUS.get(status, Trouble.SERVER))
    why = read.error
    if why is None or isinstance(why, str):
        why = Why(why if why is not None else _text(read.message), read.type, read.param, read.code)
    return _failure(why, BY_STATUS.get(status, Trouble.SERVER))


def _text(message: msgspec.Raw) -> str:
    """Return a message; one that is no text as it stands."""
    raw = bytes(message)
    if raw[:1] != b'"':
        return raw.decode(errors="replace")
    return str(msgspec.json.decode(raw))


def failure_of(error: msgspec.Raw) -> Failure:
    """Read the error object of a stream's event."""
    try:
        why = _decode_why(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(Trouble.SERVER)
    return _failure(why, Trouble.SERVER)


def _failure(why: Why | str, otherwise: Trouble) -> Failure:
    if isinstance(why, str):
        return Failure(otherwise, why)
    code = str(why.code or "")
    trouble = BY_CODE.get(code)
    if trouble is None:
        vague = otherwise in (Trouble.SERVER, Trouble.INVALID)
        trouble = BY_TYPE.get(why.type or "", otherwise) if vague else otherwise
    if trouble is Trouble.INVALID and any(words in (why.message or "").lower() for words in TOO_LONG):
        trouble = Trouble.CONTEXT
    return Failure(trouble, why.message or "", code or why.type or "", why.param)


def _error(refusal: Refusal) -> dict[str, str | None]:
    return {
        "message": refusal.message,
        "type": TYPES.get(refusal.status, "server_error"),
        "param": refusal.param,
        "code": refusal.code,
    }
