from __future__ import annotations

import msgspec

from trunkline.dialects.fields import NOTHING, read_fields


class Notes(msgspec.Struct, frozen=True):
    """Of the notes that callers attach to a request, what the ledger keeps."""

    end_customer: str | None = None


_decode = msgspec.json.Decoder(Notes).decode


def read_end_customer(notes: msgspec.Raw, field: str) -> str | None:
    """Return whom the caller's product serves, as the notes in a field say; None where they do not.

    Args:
        notes: the field's JSON; empty where it is absent.
        field: its name in the request.

    Raises:
        Malformed: a note is given twice.
    """
    if bytes(notes) in NOTHING:
        return None
    try:
        end_customer = _decode(notes).end_customer
    except msgspec.DecodeError:
        return None
    read_fields(notes, f"{field}.")
    return end_customer
