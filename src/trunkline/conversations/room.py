"""How much more may be kept of a use case for a unit, counted in the store now and then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

PART: Final = 8
"""Of the room that was found, one part in so many is used up before it is counted again: others use it, too."""


class Room:
    """Remembers how much may be kept before it must be counted again; near the bound that is each time."""

    def __init__(self, count: Callable[[str, str, int], Awaitable[int]]) -> None:
        self._count = count
        self._left: dict[tuple[str, str], int] = {}

    async def take(self, unit: str, use_case: str, most: int) -> bool:
        """Return whether one more may be kept.

        Raises:
            Unavailable: it must be counted, and the store is away.
        """
        left = self._left.get((unit, use_case), 0)
        if left > 0:
            self._left[unit, use_case] = min(left, most) - 1
            return True
        counted = await self._count(unit, use_case, most)
        self._left[unit, use_case] = (most - counted) // PART
        return counted < most
