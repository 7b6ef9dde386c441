"""The world of the leases, with many more seeds and longer lives."""

from __future__ import annotations

import pytest
from tests.metering.lease_model import World

BLOCKS = 20
SEEDS = 5_000
STEPS = 1_000


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_goes_wrong_nothing_is_overshot_and_nothing_leaks(block: int) -> None:
    for seed in range(block, SEEDS, BLOCKS):
        world = World(seed)
        try:
            world.run(STEPS)
            world.end()
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong
