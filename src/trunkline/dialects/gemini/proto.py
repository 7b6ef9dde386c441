"""What protocol buffers allow in JSON: two spellings of each field, bytes in two alphabets, one item for a list.

Source: Protocol Buffers documentation, "ProtoJSON Format".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, Self

import msgspec

from trunkline.dialects.neutral import Inline, Uncarried
from trunkline.dialects.origins import ORIGINS
from trunkline.dialects.taking import Taking
from trunkline.errors import Malformed

DIALECT: Final = "gemini"
REDACTED: Final = "redacted:"
"""Stands before a thought that is encrypted as a whole, among signatures."""
HEAD: Final = 20
"""Letters of a signature in base64, a multiple of four, that hold the longest name of an origin and its colon."""

OF_URLS: Final = re.compile(rb"[-_]")
TO_PLAIN: Final = bytes.maketrans(b"-_", b"+/")
PIECE: Final = 65_536


def camel(name: str) -> str:
    """Return the first spelling of a field: `systemInstruction` for `system_instruction`."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest) if rest and head else name


def respell(fields: dict[str, msgspec.Raw], at: str, known: frozenset[str] | None = None) -> dict[str, msgspec.Raw]:
    """Return the fields of an object by their first spelling; of `known` fields alone, where that is given.

    Raises:
        Malformed: one is given in both spellings.
    """
    for name in [name for name in fields if "_" in name]:
        spelled = camel(name)
        if known is not None and spelled not in known:
            continue
        if spelled in fields:
            where = f"{at}.{name}" if at else name
            raise Malformed(
                f"`{where}` and `{spelled}` are the same field: which of them holds is not clear. Send it once.",
                code="duplicate_field",
                param=where,
            )
        fields[spelled] = fields.pop(name)
    return fields


class Proto(Taking):
    """An object of a request, whose fields may be spelled either way."""

    __slots__ = ()

    def __init__(self, fields: dict[str, msgspec.Raw], at: str, lost: list[Uncarried]) -> None:
        super().__init__(respell(fields, at), at, lost)

    def each(self, raw: msgspec.Raw, name: str) -> Iterator[Self]:
        """Read a list of objects, or the one object that may stand for it."""
        if bytes(memoryview(raw)[:1]) == b"{":
            raw = msgspec.Raw(b"[%b]" % bytes(raw))
        return super().each(raw, name)

    def word(self, name: str) -> str | None:
        """Take one of the words of an enumeration."""
        said = self.text(name)
        return None if said is None else said.upper()


def plain_inline(data: Inline) -> Inline:
    """Return the same, piece by piece, of what stands in a request."""
    letters = data.letters
    if OF_URLS.search(letters) is None:
        return data
    plain = bytearray(len(letters))
    for at in range(0, len(letters), PIECE):
        plain[at : at + PIECE] = bytes(letters[at : at + PIECE]).translate(TO_PLAIN)
    return Inline(memoryview(plain).toreadonly())


def plain_base64(data: str) -> str:
    """Return base64 in the ordinary alphabet; Google's own SDKs write the one for URLs."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data


def seal_bytes(origin: str, signature: str, *, redacted: bool = False) -> str:
    """Return a signature as a field of bytes carries it: one made elsewhere names its origin, within the bytes."""
    if origin in ("", DIALECT) and not redacted:
        return signature
    mark = REDACTED if redacted else ""
    return base64.b64encode(f"{origin or DIALECT}:{mark}{signature}".encode()).decode()


def unseal_bytes(sealed: str) -> tuple[str, str, bool]:
    """Return origin and signature of what a caller hands back, and whether it is a whole thought, encrypted."""
    try:
        head = base64.b64decode(plain_base64(sealed[:HEAD]))
        origin, colon, _ = head.partition(b":")
        if not colon or origin.decode("ascii", "replace") not in ORIGINS:
            return DIALECT, sealed, False
        whole = base64.b64decode(plain_base64(sealed)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return DIALECT, sealed, False
    _, _, signature = whole.partition(":")
    redacted = signature.startswith(REDACTED)
    return origin.decode(), signature.removeprefix(REDACTED) if redacted else signature, redacted
