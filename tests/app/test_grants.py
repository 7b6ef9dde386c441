"""Tokens of a cloud's own chain: renewed ahead, kept until their end, and nothing is sent without one."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.path.exchange import deployment, estate

from trunkline.app.chains import CHAINS, Fetched, NoLibrary
from trunkline.app.compiling import Compiler
from trunkline.app.grants import GrantWatch
from trunkline.clock import NANOS_PER_SECOND, as_nanos
from trunkline.config.environment import Environment
from trunkline.estate.endpoints import Endpoint, Wanted
from trunkline.estate.load import load

WANTED = Wanted("azure-default", "https://cognitiveservices.azure.com/.default")
START = as_nanos(datetime(2026, 11, 28, 12, tzinfo=UTC))


class StillClock:
    """A clock that goes only when it is told to, in seconds."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> int:
        return self.at

    def ticks(self) -> int:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += int(seconds * NANOS_PER_SECOND)


class Cloud:
    """A chain that hands out what it is told to, and fails when it is told nothing."""

    def __init__(self, clock: StillClock) -> None:
        self._clock = clock
        self.life: float | None = 3600.0
        self.renew: float | None = None
        self.number = 0
        self.asked: list[str] = []

    def fetch(self, scope: str) -> Fetched:
        self.asked.append(scope)
        if self.life is None:
            raise PermissionError("no identity is here, Bearer eyJhbGciOiJSUzI1NiJ9.secret")
        self.number += 1
        now = self._clock.now() / NANOS_PER_SECOND
        renew = None if self.renew is None else now + self.renew
        return Fetched(f"token-{self.number}", now + self.life, renew)


class Around:
    """Stands for an exchange and its metrics."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.counts: dict[str, int] = {}

    def refresh(self) -> None:
        self.told.set()

    def token(self, chain: str, outcome: str) -> None:
        assert chain == "azure-default"
        self.counts[outcome] = self.counts.get(outcome, 0) + 1


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def cloud(clock: StillClock) -> Cloud:
    return Cloud(clock)


def compiled(folder: Path, clock: StillClock, provider: str = "azure-openai") -> Compiler:
    made = estate({"gpt": deployment("https://house.openai.azure.com")}, {"chat": [["gpt"]]})
    made["boundaries"]["vendor"] |= {"provider": provider, "credentials": "azure-default"}
    path = folder / "estate.yaml"
    path.write_text(json.dumps(made))
    return Compiler(load(path).estate, Environment(folder, {}), clock)


@pytest.fixture
def compiler(tmp_path: Path, clock: StillClock) -> Compiler:
    return compiled(tmp_path, clock)


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def watch(compiler: Compiler, clock: StillClock, cloud: Cloud, around: Around) -> GrantWatch:
    return GrantWatch(compiler, clock, around, {"azure-default": lambda: cloud})


def gpt(compiler: Compiler) -> Endpoint:
    return compiler.compile().endpoints["gpt"]


async def test_a_token_stands_in_the_header_until_its_end_and_no_longer(
    watch: GrantWatch, compiler: Compiler, clock: StillClock, cloud: Cloud
) -> None:
    assert gpt(compiler).missing == "azure-default: its token is fetched while the exchange runs"
    await watch.renew(WANTED)
    assert cloud.asked == [WANTED.scope]
    assert b"authorization: Bearer token-1\r\n" in gpt(compiler).headers
    assert (gpt(compiler).missing, gpt(compiler).price.known) == ("", True)
    assert compiler.compile().good_until == START + 3600 * NANOS_PER_SECOND
    clock.go(3599)
    assert not gpt(compiler).missing
    clock.go(1)
    assert gpt(compiler).missing.startswith("azure-default: its token has lapsed")
    assert b"token-1" not in gpt(compiler).headers


@pytest.mark.parametrize(
    ("life", "renew", "due"),
    [(3600.0, None, 3300.0), (3600.0, 1200.0, 1200.0), (500.0, None, 250.0), (1.0, None, 1.0), (-5.0, None, 1.0)],
)
async def test_the_next_token_is_due_ahead_of_the_end_of_this_one(
    watch: GrantWatch, cloud: Cloud, life: float, renew: float | None, due: float
) -> None:
    cloud.life, cloud.renew = life, renew
    assert await watch.renew(WANTED) == pytest.approx(due, abs=0.01)


async def test_where_no_token_can_be_had_the_one_before_goes_on_until_its_end(
    watch: GrantWatch,
    compiler: Compiler,
    clock: StillClock,
    cloud: Cloud,
    around: Around,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await watch.renew(WANTED)
    cloud.life = None
    clock.go(3540)
    with caplog.at_level(logging.WARNING, "trunkline.app"):
        assert await watch.renew(WANTED) == 15
        assert b"token-1" in gpt(compiler).headers
        clock.go(60)
        assert await watch.renew(WANTED) == 5
    assert gpt(compiler).missing == "azure-default: no token can be had; the exchange's log says why"
    assert around.counts == {"fetched": 1, "failed": 2}
    kept, gone = (record.getMessage() for record in caplog.records)
    assert "the one before goes on for 60 s" in kept
    assert "its deployments are not configured" in gone
    assert "PermissionError: no identity is here" in gone
    assert "secret" not in gone
    cloud.life = 3600.0
    await watch.renew(WANTED)
    assert b"token-2" in gpt(compiler).headers


async def test_a_library_that_gives_the_same_token_again_is_asked_again_soon(
    watch: GrantWatch, cloud: Cloud, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    await watch.renew(WANTED)
    monkeypatch.setattr(cloud, "number", 0)
    assert await watch.renew(WANTED) == 30
    assert around.counts == {"fetched": 2}


async def test_another_estate_takes_the_tokens_over_and_begins_to_fetch_its_own(
    watch: GrantWatch, tmp_path: Path, clock: StillClock, cloud: Cloud, around: Around
) -> None:
    plain = compiled(tmp_path, clock, provider="openai")
    assert gpt(plain).missing == "azure-default: OpenAI API takes no tokens of it in this version"
    assert plain.wanted == frozenset()
    other = compiled(tmp_path, clock)
    watch.begin(around)
    await around.told.wait()
    assert watch.adopt(other)
    assert b"token-1" in gpt(other).headers
    assert not watch.adopt(plain)
    watch.end()
    assert cloud.number == 1


async def test_a_missing_library_says_what_to_install(
    compiler: Compiler, clock: StillClock, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(NoLibrary):
        CHAINS["azure-default"]()
    await GrantWatch(compiler, clock, around).renew(WANTED)
    assert gpt(compiler).missing == "azure-default: install `trunkline[azure]`, which brings azure-identity"
