"""What an answer says it costs, for providers that bill what they state."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from trunkline.estate.unit_prices import Stated
from trunkline.money import Nano, to_nano

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_amount = msgspec.json.Decoder(Decimal).decode
MOST = Decimal(1_000_000)
"""Whoever states more for one call is not believed."""


def read_stated(stated: Stated, data: bytes) -> Nano | None:
    """Return what an answer, or an event of a stream, says that it costs, in billionths of the estate's currency.

    None where it says nothing, or nothing that can be believed: then its tokens are priced.
    """
    try:
        raw = msgspec.Raw(data)
        for name in stated.path:
            raw = _decode_fields(raw)[name]
        amount = _decode_amount(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    return to_nano(amount * stated.worth) if amount.is_finite() and 0 <= amount <= MOST else None
