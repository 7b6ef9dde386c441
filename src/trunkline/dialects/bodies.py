"""Request bodies: JSON objects, read with every fault told as a refusal."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from trunkline.dialects.fields import LARGE, read_fields
from trunkline.dialects.neutral import Inline
from trunkline.errors import Malformed
from trunkline.messages import Asked

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def read_body(body: bytes, parse: Callable[[bytes, dict[str, msgspec.Raw]], T]) -> T:
    """Read a request body: `parse` gets it with its top-level fields, each as it was written.

    Raises:
        Malformed: it is not JSON (the message has the position), not UTF-8, or a field that is read has a wrong type.
    """
    try:
        if not body.isascii():
            body.decode()
        return parse(body, read_fields(body))
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except msgspec.DecodeError as error:
        raise Malformed(f"The request body is not valid JSON: {_position(str(error))}.") from error
    except UnicodeDecodeError as error:
        raise Malformed(f"The request body is not valid UTF-8 at byte {error.start}.") from error
    except RecursionError as error:
        raise Malformed("The request body is nested too deeply to be read.", code="nested_too_deeply") from error


def rewrite(fields: dict[str, msgspec.Raw], rewrites: Iterable[tuple[str, bytes | None]]) -> dict[str, msgspec.Raw]:
    """Return the fields with other values, as JSON; None leaves one out."""
    written = dict(fields)
    for field, value in rewrites:
        if value is None:
            written.pop(field, None)
        else:
            written[field] = msgspec.Raw(value)
    return written


def write_fields(asked: Asked, fields: dict[str, msgspec.Raw]) -> bytes:
    """Return a body of these fields; one that is large is made in its size at once, without room to grow."""
    if asked.prompt_bound <= LARGE:
        return _encode(fields)
    pieces: list[bytes | msgspec.Raw] = [b"{"]
    for name, raw in fields.items():
        pieces += (b"," if len(pieces) > 1 else b"", _encode(name), b":", raw)
    return b"".join((*pieces, b"}"))


def without_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}


def write_body(body: dict[str, Any]) -> bytes:
    """Return a body as JSON; what stands in it inline is copied once, into its place."""
    found: list[Inline] = []
    # Nobody who wrote the rest can have guessed it.
    mark = b'"%b"' % secrets.token_hex(16).encode()

    def leave_room(value: object) -> msgspec.Raw:
        if not isinstance(value, Inline):
            raise TypeError(value)
        found.append(value)
        return msgspec.Raw(mark)

    written = msgspec.json.encode(body, enc_hook=leave_room)
    if not found:
        return written
    pieces: list[bytes | memoryview] = []
    for before, inline in zip(written.split(mark), (*found, None), strict=True):
        pieces.append(before)
        if inline is not None:
            pieces += (_encode(inline.head)[:-1], inline.letters, b'"')
    return b"".join(pieces)


def _invalid(error: msgspec.ValidationError) -> Malformed:
    text = str(error)
    missing = re.search(r"missing required field `(\w+)`", text)
    if missing:
        return Malformed(f"The request has no `{missing[1]}`.", code="missing_field", param=missing[1])
    at = re.search(r" - at `\$\.?(.*?)`$", text)
    param = at[1] if at and at[1] else None
    return Malformed(f"The request is not as the API expects it: {text}.", code="invalid_type", param=param)


def _position(text: str) -> str:
    return text.removeprefix("JSON is malformed: ")
