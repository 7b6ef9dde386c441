"""What may happen while an attempt waits for its budgets."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from trunkline.catalog.profile import load_profiles
from trunkline.catalog.vendor import load_vendors
from trunkline.clock import SystemClock
from trunkline.dialects.openai.codec import decode
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Attempt
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.prepare import prepare
from trunkline.ids import KeyId
from trunkline.messages import Operation
from trunkline.metering.bound import bound
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller
from trunkline.upstream.course import Course
from trunkline.upstream.route import foresee

ESTATE: dict[str, Any] = {
    "name": "small",
    "version": "1",
    "currency": "EUR",
    "time_zone": "UTC",
    "units": {"all": {"cost_centre": "1"}},
    "data_classes": {"public": {}, "internal": {"requires": {"training_use": {"is": "never"}}}},
    "boundaries": {"house": {"provider": "self-managed", "owner": "all"}},
    "deployments": {
        "one": {
            "model": "v/m",
            "pattern": "self_managed",
            "boundary": "house",
            "url": "http://127.0.0.1:9",
            "dialect": "openai",
        }
    },
    "pools": {"only": {"owner": "all", "tiers": [["one"]]}},
    "use_cases": {"talk": {"owner": "all", "audience": ["all"], "data_class": "public", "pools": ["only"]}},
}


def compiled(**changes: Any) -> Snapshot:
    estate = msgspec.convert({**ESTATE, **changes}, Estate)
    surroundings = Surroundings(
        vendors=load_vendors(),
        profiles=load_profiles(),
        resolve=lambda text: (text, ""),
        addresses={},
        dialects=frozenset({"openai", "anthropic"}),
    )
    return compile_estate(estate, surroundings, SystemClock().now())


class Held:
    """Stands for what is held in budgets."""

    output_limit = None

    def __init__(self) -> None:
        self.settled: list[int] = []

    def settle(self, cost: int) -> None:
        self.settled.append(cost)


class SlowCashier:
    """Something happens while an attempt waits for its budgets."""

    in_force = True

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.held = Held()
        self._meanwhile = meanwhile

    async def pledge(self, _: Attempt) -> Held:
        self._meanwhile()
        return self.held


BODY = b'{"model": "talk", "seed": 7, "messages": [{"role": "user", "content": "hi"}]}'


def call(**changes: Any) -> tuple[Any, Attempt, Course]:
    """An exchange, an attempt that it permits, and how the call fares."""
    snapshot = compiled(**changes)
    exchange = SimpleNamespace(snapshot=snapshot, is_ejected=lambda _: False, cashier=None)
    asked = decode(Operation.CHAT, BODY)
    caller = Caller(key=KeyId("key_1"), unit="all", cost_centre="1")
    attempt = next(iter(foresee(permit(snapshot, caller, asked), bound)))
    return exchange, attempt, Course(asked, SystemClock())


async def test_an_attempt_that_is_still_permitted_is_ready_with_what_it_holds() -> None:
    exchange, attempt, course = call()
    exchange.cashier = SlowCashier(lambda: None)
    held: Held = exchange.cashier.held
    ready = await prepare(cast("Exchange", exchange), exchange.snapshot, attempt, course)
    assert ready is not None
    assert ready.pledge is cast("Any", held)
    assert held.settled == []


STRICTER: dict[str, Any] = {"use_cases": {"talk": {**ESTATE["use_cases"]["talk"], "data_class": "internal"}}}


@pytest.mark.parametrize("changes", [STRICTER, {"currency": "USD"}], ids=["stricter", "another currency"])
async def test_an_estate_that_comes_while_an_attempt_waits_for_its_budgets_is_heeded_and_nothing_stays_held(
    changes: dict[str, Any],
) -> None:
    exchange, attempt, course = call()
    before, after = exchange.snapshot, compiled(**changes)
    exchange.cashier = SlowCashier(lambda: setattr(exchange, "snapshot", after))
    assert await prepare(cast("Exchange", exchange), before, attempt, course) is None
    assert exchange.cashier.held.settled == [0]


async def test_a_deployment_that_is_ejected_while_an_attempt_waits_is_left_out_and_nothing_stays_held() -> None:
    exchange, attempt, course = call()
    exchange.cashier = SlowCashier(lambda: setattr(exchange, "is_ejected", lambda _: True))
    assert await prepare(cast("Exchange", exchange), exchange.snapshot, attempt, course) is None
    assert course.ejected == ["one"]
    assert exchange.cashier.held.settled == [0]


async def test_what_is_held_for_an_attempt_that_cannot_be_carried_is_released_once_and_no_more() -> None:
    other = {"one": {**ESTATE["deployments"]["one"], "dialect": "anthropic"}}
    exchange, attempt, course = call(deployments=other)
    exchange.cashier = SlowCashier(lambda: None)
    assert await prepare(cast("Exchange", exchange), exchange.snapshot, attempt, course) is None
    assert [lost.fields for _, lost in course.uncarried] == [("seed",)]
    assert exchange.cashier.held.settled == [0]
