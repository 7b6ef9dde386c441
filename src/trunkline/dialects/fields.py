"""The fields of a JSON object, each once."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trunkline.errors import Malformed

ABSENT: Final = msgspec.Raw(b"")
"""Stands for a value that is not there, for those who read values raw."""
NOTHING: Final = (b"", b"null")
"""What a raw value is where nothing was given."""
KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
NEXT = re.compile(rb"[ \t\r\n]*([,}])", re.DOTALL)
WHITE = b" \t\r\n"
SHORT = 16 * 1024
"""Up to this many bytes, taking all white space out costs less than to walk."""

LARGE = 1024 * 1024
"""Beyond so many bytes they are not written again to be compared: that would be one more copy in memory."""

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_name = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def is_nothing(raw: msgspec.Raw) -> bool:
    """Whether a raw value says nothing, told without a copy of it."""
    return len(memoryview(raw)) <= len(NOTHING[-1]) and bytes(raw) in NOTHING


def read_fields(text: bytes | msgspec.Raw, within: str = "") -> dict[str, msgspec.Raw]:
    """Return the fields of a JSON object, each value as it was written.

    But for white space, the fields that were read make the same text again where none of them was given twice: a
    second one would be missing. Only what differs, or is long, is walked, value by value.

    Raises:
        msgspec.DecodeError: the text is not a JSON object.
        Malformed: a field is given twice, whichever way its name is written.
    """
    fields = _decode_fields(text)
    text = bytes(text)
    if len(text) > LARGE:
        _walk(text, fields, within)
        return fields
    again = _encode(fields)
    if again == text:
        return fields
    if len(text) > SHORT or again.translate(None, WHITE) != text.translate(None, WHITE):
        _walk(text, fields, within)
    return fields


def _walk(text: bytes, fields: dict[str, msgspec.Raw], within: str) -> None:
    """Go from key to key, over values that are known to be valid JSON; of a field given twice, the last is known."""
    at = text.index(b"{") + 1
    seen: set[str] = set()
    while (key := KEY.match(text, at)) is not None:
        name = _decode_name(key[1])
        value = bytes(fields[name])
        end = NEXT.match(text, key.end() + len(value))
        if name in seen or end is None or not text.startswith(value, key.end()):
            raise Malformed(
                f"`{within}{name}` is given more than once: which of them holds is not clear. Send it once.",
                code="duplicate_field",
                param=f"{within}{name}",
            )
        seen.add(name)
        at = end.end()
