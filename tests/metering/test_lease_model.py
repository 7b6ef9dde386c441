from __future__ import annotations

import msgspec
import pytest
from tests.metering.lease_model import World

from trunkline.metering import leases as rules
from trunkline.metering.leases import Allowance, Ask, Lease

SEEDS = 120
STEPS = 400


def live(seed: int) -> World:
    world = World(seed)
    world.run(STEPS)
    world.end()
    return world


@pytest.mark.parametrize("block", range(4))
def test_whatever_goes_wrong_nothing_is_overshot_and_nothing_leaks(block: int) -> None:
    for seed in range(block, SEEDS, 4):
        try:
            live(seed)
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong


def test_the_world_is_not_idle() -> None:
    """The seeds reach what they are for: calls, refusals, deaths, lost journals, money that is frozen."""
    worlds = [World(seed) for seed in range(40)]
    for world in worlds:
        world.run(STEPS)
    assert sum(len(world.attempts) for world in worlds) > 1_000
    assert any(world.lost for world in worlds)
    assert any(world.dead for world in worlds)
    full = [
        allowance
        for world in worlds
        for allowance in world.shelf.allowances.values()
        if allowance.settled + allowance.leased > 0.95 * allowance.limit
    ]
    assert len(full) > 5


def grants_all(allowance: Allowance, lease: Lease, ask: Ask, now: int) -> int:
    return ask.amount - lease.amount


def settles_without_leased(allowance: Allowance, lease: Lease, cost: int) -> tuple[Allowance, Lease]:
    after = msgspec.structs.replace(lease, settled=lease.settled + cost)
    return msgspec.structs.replace(allowance, leased=allowance.leased + after.room - lease.room), after


def heeds_late_asks(allowance: Allowance, lease: Lease, ask: Ask, now: int) -> tuple[Allowance, Lease]:
    return adjust(allowance, msgspec.structs.replace(lease, version=0), ask, now)


adjust = rules.adjust
MUTANTS = [("_grant", grants_all), ("settle", settles_without_leased), ("adjust", heeds_late_asks)]


@pytest.mark.parametrize(("name", "mutant"), MUTANTS, ids=[name for name, _ in MUTANTS])
def test_a_broken_rule_is_seen(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, name, mutant)
    with pytest.raises(AssertionError, match=r"limit|leases|overshot|too little|balance"):
        [live(seed) for seed in range(SEEDS)]
