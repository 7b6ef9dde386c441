"""What one token costs at a deployment, in the estate's currency: compiled from what is declared and published."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from trunkline.money import Pico

SECONDS_PER_DAY: Final = 86_400
FIRST_WEEKDAY: Final = 3
"""1970 began on a Thursday."""


class UnitPrice(msgspec.Struct, frozen=True):
    """What one token of each kind costs, in the estate's currency, and the version of the price that says so.

    `known` is false where neither the estate nor the bundled price table has a price: the call counts as zero and
    says so. Of the `variants` that hold for a call, the last counts in place of these. `until` is when another price
    begins, in nanoseconds since 1970; 0 where none is known of. `stated` is where answers say what is billed: that
    counts before all of these, which are then held. `media` is what sound and pictures cost; None for as much as text.
    """

    input: Pico = Pico(0)
    output: Pico = Pico(0)
    cache_read: Pico = Pico(0)
    cache_write: Pico = Pico(0)
    version: str = ""
    known: bool = True
    cache_write_long: Pico = Pico(0)
    variants: tuple[Variant, ...] = ()
    until: int = 0
    stated: Stated | None = None
    media: MediaPrice | None = None


class MediaPrice(msgspec.Struct, frozen=True):
    """What one token of sound or of a picture costs: that of text where it has no price of its own."""

    input_audio: Pico = Pico(0)
    input_image: Pico = Pico(0)
    cached_audio: Pico = Pico(0)
    cached_image: Pico = Pico(0)
    output_audio: Pico = Pico(0)
    output_image: Pico = Pico(0)


class Stated(msgspec.Struct, frozen=True):
    """Where an answer states what it costs, and what one unit of that is worth in the estate's currency."""

    path: tuple[str, ...]
    worth: Decimal


class Variant(msgspec.Struct, frozen=True):
    """Other prices of the same version: for prompts of more than `above` tokens (-1: all), or at some hours.

    `begins` and `ends` are seconds of the day in UTC, None for all hours; hours may go over midnight. `weekdays` are
    the only ones on which it holds, Monday being 0, and `free` days on which it does not, counted from 1970, in UTC.
    """

    price: UnitPrice
    above: int = -1
    begins: int | None = None
    ends: int = 0
    weekdays: frozenset[int] | None = None
    free: frozenset[int] = frozenset()

    def holds(self, tokens: int, second: int) -> bool:
        """Whether it holds for a prompt of so many tokens, at that second since 1970."""
        if tokens <= self.above:
            return False
        day, second = divmod(second, SECONDS_PER_DAY)
        if self.weekdays is not None and ((day + FIRST_WEEKDAY) % 7 not in self.weekdays or day in self.free):
            return False
        if self.begins is None:
            return True
        if self.begins <= self.ends:
            return self.begins <= second < self.ends
        return second >= self.begins or second < self.ends
