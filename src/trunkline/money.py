"""Money as fixed-point integers: never a float, rounded once per line.

An amount (`Nano`) counts billionths of the estate's currency: a signed 64-bit column holds nine thousand million units.
A unit price (`Pico`) counts million-millionths of the currency per token, which is the same as millionths of the
currency per million tokens: a price list's `0.075` per million tokens is exactly 75,000.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import NewType

Nano = NewType("Nano", int)
Pico = NewType("Pico", int)

NANOS_PER_UNIT = 1_000_000_000
PICOS_PER_NANO = 1_000
PICOS_PER_MTOK_UNIT = 1_000_000
MOST_UNITS = 4_000_000_000
"""The most of the currency that a budget may be, and be raised by: together they fit a signed 64-bit column."""


def price_per_mtok(price: Decimal) -> Pico:
    """Turn a price per million tokens, in currency, into the price of one token.

    Prices finer than a millionth of the currency per million tokens are rounded half to even.
    """
    return Pico(int((price * PICOS_PER_MTOK_UNIT).to_integral_value(ROUND_HALF_EVEN)))


def settle_picos(picos: int) -> Nano:
    """Round a sum of token prices to the ledger's unit, half up. Amounts here are never negative."""
    return Nano((picos + PICOS_PER_NANO // 2) // PICOS_PER_NANO)


def hold_picos(picos: int) -> Nano:
    """Round a sum of token prices up to the ledger's unit, so that a hold is never below its settlement."""
    return Nano(-(-picos // PICOS_PER_NANO))


def to_nano(amount: Decimal) -> Nano:
    """Turn an amount of currency into the ledger's unit; finer amounts are rounded half to even."""
    return Nano(int((amount * NANOS_PER_UNIT).to_integral_value(ROUND_HALF_EVEN)))


def bare(amount: int) -> str:
    """Write an amount as a bare decimal of currency: `0.0000125`, `12`, `-3.5`."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), NANOS_PER_UNIT)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:09d}".rstrip("0")
