from __future__ import annotations

import pytest

from trunkline.conversations.room import Room


class Counted:
    """A store that says how much is kept, and how often it was asked."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.asked = 0

    async def __call__(self, unit: str, use_case: str, most: int) -> int:
        assert (unit, use_case) == ("sales", "chat")
        self.asked += 1
        return min(self.kept, most)


@pytest.mark.parametrize("kept", [0, 3, 99, 100, 150])
async def test_no_more_is_kept_than_the_bound_and_it_is_seldom_counted_far_below(kept: int) -> None:
    counted = Counted(kept)
    room = Room(counted)
    while await room.take("sales", "chat", 100):
        counted.kept += 1
    assert counted.kept == max(kept, 100)
    assert counted.asked <= 2 + (100 - min(kept, 100)) // 2
    counted.kept = min(counted.kept, 99)
    assert await room.take("sales", "chat", 100)


async def test_a_bound_that_is_lowered_holds_from_then_on() -> None:
    counted = Counted(0)
    room = Room(counted)
    assert await room.take("sales", "chat", 1_000)
    counted.kept = 5
    assert not [True for _ in range(50) if await room.take("sales", "chat", 5)][5:]
