"""Knocking at deployments: what is down is left alone before a call finds out, and what is back is seen at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.upstream.made import Clock
from tests.upstream.test_route import A
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

from trunkline.app.probing import Prober
from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.estate.endpoints import Endpoint
from trunkline.upstream.breaker import State
from trunkline.upstream.health import Health, Mark
from trunkline.wire.client import Pool
from trunkline.wire.origins import Origin

WELL = Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


class Round:
    """A prober with all it stands on, and a clock that is moved by hand."""

    def __init__(self, upstream: Upstream, pool: Pool) -> None:
        self.clock = Clock()
        self.upstream = upstream
        self.told: list[Mark] = []
        self.health = Health(self.clock, tell=self.told.append)
        self.endpoint: Endpoint = msgspec.structs.replace(
            A, origin=Origin("127.0.0.1", upstream.port, tls=False), headers=b"host: engine\r\n", probe="/health"
        )
        exchange = SimpleNamespace(health=self.health, snapshot=SimpleNamespace(endpoints={"a": self.endpoint}))
        self.prober = Prober(cast("Any", exchange), pool, self.clock)

    @property
    def state(self) -> State:
        return self.health.gauge(self.endpoint).breaker.state

    async def look(self, seconds: int = 2) -> None:
        self.clock.at += seconds * SECOND
        await self.prober.look()


@pytest.fixture
async def made() -> AsyncIterator[Round]:
    async with Upstream() as upstream:
        pool = Pool()
        yield Round(upstream, pool)
        await pool.close()


async def test_what_is_idle_is_asked_now_and_then_with_nothing_of_a_call(made: Round) -> None:
    made.upstream.default = WELL
    for _ in range(10):
        await made.look()
    assert len(made.upstream.received) == 2
    first = made.upstream.received[0]
    assert (first.method, first.path, first.body) == ("GET", "/health", b"")
    assert made.state is State.CLOSED


async def test_what_is_down_is_left_alone_and_told_before_a_call_finds_out(made: Round) -> None:
    made.upstream.default = Script(status=503)
    await made.look()
    assert not made.told
    await made.look()
    assert made.state is State.OPEN
    assert [mark.deployment for mark in made.told] == ["a"]
    for _ in range(30):
        await made.look()
    assert not made.health.gauge(made.endpoint).breaker.admits(made.clock.at)
    assert len(made.told) == 1


async def test_once_it_answers_again_the_next_call_sees_whether_it_is_back(made: Round) -> None:
    made.upstream.default = Script(drop=True)
    await made.look()
    await made.look()
    made.upstream.default = WELL
    await made.look()
    assert made.health.gauge(made.endpoint).breaker.admits(made.clock.at)


async def test_what_answers_knocks_and_fails_calls_waits_as_its_breaker_says(made: Round) -> None:
    breaker = made.health.gauge(made.endpoint).breaker
    breaker.hold_open(made.clock.at + 10 * SECOND)
    made.upstream.default = WELL
    await made.look()
    assert len(made.upstream.received) == 1
    assert not breaker.admits(made.clock.at)


async def test_a_path_that_is_not_there_tells_nothing(made: Round) -> None:
    made.upstream.default = Script(status=404)
    for _ in range(20):
        await made.look()
    assert made.state is State.CLOSED


async def test_what_calls_tell_of_is_not_asked_besides(made: Round) -> None:
    for _ in range(20):
        made.health.gauge(made.endpoint).well(made.clock.at)
        await made.look()
    assert not made.upstream.received
