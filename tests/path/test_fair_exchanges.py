"""Units share what is short of a deployment fairly, though they come in through different exchanges on one Postgres."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.path.test_slots import Load
from tests.postgres.sharing import Shared
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

SLOTS = 6
LASTS = 1.0
"""Seconds that each call takes there."""
WARM = 18
MEASURED = 60
LEAST = 0.8
"""Jain's index, over a short time that begins with the first calls. Where slots go to who asks first, it is 0.7."""


def jain(shares: list[int]) -> float:
    """How fair shares are: 1 where all are equal, one part of the number where one has all (Jain and others, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def started(stack: ExitStack, tmp_path: Path, url: str, vendor: Upstream) -> list[Exchange]:
    narrow = deployment(vendor.url, capacity={"concurrency": SLOTS})
    made: dict[str, Any] = estate({"gpt": narrow}, {"chat": [["gpt"]]})
    made["use_cases"]["chat"]["wait"] = 60  # So that nobody is refused, and all wait without a break.
    running = []
    for number in range(3):
        running.append(start(tmp_path / str(number), made, "--no-engine", TRUNKLINE_STORE=url))
        stack.callback(stop, running[-1])
    return running


def served(load: list[Load]) -> int:
    return sum(answer.status == 200 for one in load for answer in tuple(one.answers))


ALL_AND_ONE = {"acme": {0: 6, 1: 6, 2: 6}, "marketing": {1: 18}}
TEN_TIMES = {"acme": {0: 30}, "marketing": {1: 3}, "finance": {2: 3}}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "callers",
    [
        pytest.param(ALL_AND_ONE, id="one by all exchanges and one by one"),
        pytest.param(TEN_TIMES, id="each by one and one with ten times the callers"),
    ],
)
def test_units_share_the_slots_of_a_deployment_fairly_whichever_exchange_they_come_in_by(
    vendor: Upstream, tmp_path: Path, postgres: Shared, callers: dict[str, dict[int, int]]
) -> None:
    vendor.default = Script(delay=LASTS)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database())
        running = started(stack, tmp_path, url, vendor)
        keys = {unit: running[0].key(unit) for unit in callers}
        loads = {
            unit: [Load(running[number], keys[unit], count) for number, count in places.items()]
            for unit, places in callers.items()
        }
        try:
            assert vendor.wait_for(WARM, 90)
            before = {unit: served(load) for unit, load in loads.items()}
            assert vendor.wait_for(WARM + MEASURED, 90)
            shares = {unit: served(load) - before[unit] for unit, load in loads.items()}
        finally:
            for load in loads.values():
                for one in load:
                    one.end()
        print(f"{shares}, Jain {jain([*shares.values()]):.3f}")  # noqa: T201
        assert jain([*shares.values()]) >= LEAST, shares
