"""Following claims: what expires is announced once a day, and a store that is away changes nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trunkline.app.claims import ClaimWatch
from trunkline.app.compiling import Compiler
from trunkline.clock import as_nanos
from trunkline.config.environment import Environment
from trunkline.errors import Unavailable
from trunkline.estate.claims import Basis, Claim
from trunkline.estate.load import load
from trunkline.policy.verified import Version

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"
DAY = 86_400 * 10**9


class StillClock:
    """A clock that goes only when it is told to."""

    def __init__(self, at: datetime) -> None:
        self.at = as_nanos(at)

    def now(self) -> int:
        return self.at

    def ticks(self) -> int:
        return self.at


class Kept:
    """A store of versions in memory that can be away."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.away = False

    def record_claim(self, deployment: str, control: str, claim: Claim, at: int) -> Version:
        self.versions.append(Version(deployment, control, len(self.versions) + 1, claim, at))
        return self.versions[-1]

    def claim_versions(self) -> tuple[Version, ...]:
        return tuple(self.versions)

    def claims_changed(self) -> int:
        if self.away:
            raise Unavailable("the store is away")
        return len(self.versions)


class Refreshed:
    """Stands for an exchange: counts how often it was told to compile again."""

    def __init__(self) -> None:
        self.times = 0

    def refresh(self) -> None:
        self.times += 1


@pytest.fixture
def clock() -> StillClock:
    return StillClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def compiler(clock: StillClock) -> Compiler:
    return Compiler(load(ACME).estate, Environment(ACME.parent, {}), clock)


@pytest.fixture
def watch(compiler: Compiler, kept: Kept, clock: StillClock) -> ClaimWatch:
    return ClaimWatch(compiler, kept, clock)


def announced(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if "expire within" in record.getMessage()]


def test_what_expires_soon_is_announced_once_a_day(
    watch: ClaimWatch, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "trunkline.app"):
        watch.announce()
        assert not announced(caplog)
        clock.at = as_nanos(datetime(2027, 3, 12, 12, tzinfo=UTC))
        watch.announce()
        watch.announce()
        clock.at += DAY - 1
        watch.announce()
        assert len(announced(caplog)) == 1
        clock.at += 1
        watch.announce()
        first, second = announced(caplog)
    assert first.expiring == 6
    assert first.first.startswith("mistral-brand.human_review in 3 days")
    assert "in 2 days" in second.first


def test_every_claim_that_expires_has_its_seconds_and_no_other(watch: ClaimWatch, clock: StillClock) -> None:
    left = watch.seconds_left()
    expiry = datetime(2027, 4, 3, tzinfo=UTC) - timedelta(hours=2)
    assert left["gpt-reserved", "network"] == pytest.approx((as_nanos(expiry) - clock.at) / 10**9, abs=1)
    assert not any(deployment == "smol" for deployment, _ in left)
    clock.at = as_nanos(datetime(2028, 1, 1, tzinfo=UTC))
    assert max(watch.seconds_left().values()) < 0


async def test_a_new_version_is_taken_over_once(watch: ClaimWatch, kept: Kept, clock: StillClock) -> None:
    exchange: Any = Refreshed()
    await watch.look(exchange)
    assert exchange.times == 0
    kept.record_claim("gpt-reserved", "network", Claim("public", Basis.UNVERIFIED), clock.now())
    await watch.look(exchange)
    await watch.look(exchange)
    assert exchange.times == 1
    assert ("gpt-reserved", "network") not in watch.seconds_left()


async def test_while_the_store_is_away_the_known_claims_go_on(
    watch: ClaimWatch, kept: Kept, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    exchange: Any = Refreshed()
    known = watch.seconds_left()
    kept.away = True
    with caplog.at_level(logging.WARNING, "trunkline.app"):
        await watch.look(exchange)
        await watch.look(exchange)
    assert len(caplog.records) == 1
    assert watch.seconds_left() == known
    assert exchange.times == 0


def test_a_version_without_effect_is_told(
    compiler: Compiler, kept: Kept, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    kept.record_claim("gone", "network", Claim("public"), clock.now())
    with caplog.at_level(logging.WARNING, "trunkline.app"):
        ClaimWatch(compiler, kept, clock)
    assert "no deployment gone" in caplog.text
