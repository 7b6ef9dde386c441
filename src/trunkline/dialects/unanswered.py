"""Whole answers of status 200 in which nothing is answered: some providers, and proxies before them, tell errors so."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.fields import NOTHING
from trunkline.errors import Declined, Garbled

QUOTED: Final = 500
"""Bytes of such a body that are kept, where they may be."""
LESS_QUOTED: Final = 200
"""Bytes of what is no JSON at all."""
OK: Final = 200
STRUCTURED: Final = (b"{", b"[")

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ERROR: Final = b'"error"'


def no_json(body: bytes, error: Exception) -> Garbled:
    """Return the fault of a whole answer that cannot be read as JSON."""
    said = body[:LESS_QUOTED].decode(errors="replace")
    return Garbled("the answer is not valid JSON", inside=f"not valid JSON: {error}", said=said)


def refuse_unanswered(body: bytes, *fields: str) -> None:
    """Refuse a whole answer that has none of the fields in which its dialect answers: an object or a list each.

    Raises:
        Declined: it tells of an error instead.
        Garbled: it is not what the dialect promises.
    """
    said = body[:QUOTED].decode(errors="replace")
    try:
        found = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("the answer is no JSON object", inside=f"no JSON object: {error}", said=said) from error
    if any(bytes(found[name]).startswith(STRUCTURED) for name in fields if name in found):
        return
    if bytes(found.get("error", b"")) not in NOTHING or _ERROR in map(
        bytes, (found.get("type", b""), found.get("object", b""))
    ):
        raise Declined("it answered with status 200 and an error in it", status=OK, said=said)
    raise Garbled("there is no answer in what it answered", inside=f"none of {', '.join(fields)}", said=said)
