"""More calls than there is room for, through the whole product: who is served, who is told what, what comes after."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream, in_thread

SLOTS = 4
TOOK = 0.25


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def fresh(vendor: Upstream) -> None:
    vendor.reset()
    vendor.default = Script(delay=TOOK)


def declared(vendor: Upstream, **more: Any) -> dict[str, Any]:
    """Return an estate with one deployment of few slots, and a use case of each priority before it."""
    made = estate(
        {"gpt": deployment(vendor.url, capacity={"concurrency": SLOTS}) | more},
        {"chat": [["gpt"]], "urgent": [["gpt"]], "batch": [["gpt"]], "now": [["gpt"]]},
    )
    made["use_cases"]["urgent"]["priority"] = "high"
    made["use_cases"]["batch"]["priority"] = "low"
    made["use_cases"]["now"]["wait"] = 0
    return made


async def keep_asking(
    running: Exchange, key: str, callers: int, seconds: float, model: str = "chat"
) -> Counter[int | str]:
    """Ask without a pause from so many callers, and return how often which status came."""
    outcomes: Counter[int | str] = Counter()
    until = time.monotonic() + seconds

    async def call(client: openai.AsyncOpenAI) -> None:
        while time.monotonic() < until:
            try:
                await client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": "hi"}], user=model, max_tokens=50
                )
                outcomes[200] += 1
            except openai.APIStatusError as refused:
                told = int(refused.response.headers.get("retry-after", 0))
                outcomes[f"{refused.code} {1 <= told <= 60}"] += 1
                await asyncio.sleep(TOOK)

    async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
        await asyncio.gather(*(call(client) for _ in range(callers)))
    return outcomes


def jain(shares: list[int]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_where_capacity_is_short_a_unit_with_few_callers_gets_as_much_as_one_with_many(
    vendor: Upstream, tmp_path: Path, workers: str
) -> None:
    with exchange(tmp_path, declared(vendor), "--no-engine", "--workers", workers) as running:
        many, few = running.key("marketing"), running.key("finance")
        got = await asyncio.gather(
            keep_asking(running, many, 6 * SLOTS, 5.0), keep_asking(running, few, 2 * SLOTS, 5.0)
        )
        assert jain([one[200] for one in got]) >= 0.9, got
        text = running.get("/metrics")[1]
    assert 'trunkline_wait_seconds_count{outcome="served",priority="normal"}' in text
    assert 'trunkline_upstream_waiting_calls{deployment="gpt"} 0.0' in text


async def test_the_lowest_priority_is_refused_first_and_the_highest_is_served(vendor: Upstream, tmp_path: Path) -> None:
    with exchange(tmp_path, declared(vendor)) as running:
        key = running.key("finance")
        urgent, batch = await asyncio.gather(
            keep_asking(running, key, 3 * SLOTS, 4.0, "urgent"), keep_asking(running, key, 3 * SLOTS, 4.0, "batch")
        )
    assert set(urgent) == {200}
    assert set(batch) <= {200, "rate_limit_exceeded True", "overloaded True"}
    # It had the first slots, and has them again when the others have ended; without priorities each would have half.
    assert urgent[200] > 1.4 * batch[200]


async def test_a_burst_is_served_as_soon_as_there_is_room_and_all_is_as_before_when_it_is_over(
    vendor: Upstream, tmp_path: Path
) -> None:
    with exchange(tmp_path, declared(vendor)) as running:
        key = running.key("finance")
        async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
            ask_once = client.chat.completions.create
            messages: Any = [{"role": "user", "content": "hi"}]
            burst = [ask_once(model="chat", messages=messages, user=str(number)) for number in range(6 * SLOTS)]
            assert len(await asyncio.gather(*burst)) == 6 * SLOTS
        running.await_booked()
        rows = running.rows("ledger", "tail")
        assert any("of waiting for room; gpt has no room: the limit of" in row["decision"] for row in rows)
        assert ask(running.port, key, HELLO | {"model": "now"}).status == 200
        assert (
            'trunkline_limit{limit="deployment:gpt/capacity/concurrency",what="used"} 0.0' in running.get("/metrics")[1]
        )


async def test_who_must_not_wait_is_told_at_once_and_who_hangs_up_leaves_no_place_behind(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.default = Script(hang="head")
    timeouts = {"connect": 2, "first_byte": 20, "between": 20, "total": 30}
    with exchange(tmp_path, declared(vendor, timeouts=timeouts)) as running:
        key = running.key("finance")
        async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
            calls = [
                asyncio.create_task(
                    client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
                )
                for _ in range(SLOTS + 3)
            ]
            waiting = 'trunkline_upstream_waiting_calls{deployment="gpt"} '
            await seen(running, waiting + "3.0")
            refused = await asyncio.to_thread(ask, running.port, key, HELLO | {"model": "now"})
            assert refused.status == 429
            assert refused.error is not None
            assert refused.error["code"] == "rate_limit_exceeded"
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await seen(running, waiting + "0.0")


async def test_a_deployment_that_says_it_is_overloaded_gets_no_more_at_once_than_it_bears(
    vendor: Upstream, tmp_path: Path
) -> None:
    bears = 6

    def choose(_: Received) -> Script:
        under_way = sum(not one.over.is_set() for one in vendor.received[-200:])
        return Script(delay=TOOK) if under_way < bears else Script(status=503)

    vendor.choose = choose
    calm = {"failures": 1_000_000, "share": 1}
    with exchange(tmp_path, declared(vendor, capacity={"rpm": 100_000}, tolerance=calm)) as running:
        key = running.key("finance")
        before = await keep_asking(running, key, 4 * bears, 4.0)
        mark = len(vendor.received)
        after = await keep_asking(running, key, 4 * bears, 4.0)
        text = running.get("/metrics")[1]
        assert 'trunkline_upstream_events_total{deployment="gpt",event="throttled"} 1.0' in text
        limit = next(line for line in text.splitlines() if line.startswith("trunkline_upstream_adaptive_limit{"))
        assert 4 <= float(limit.rpartition(" ")[2]) < 4 * bears
        sent = len(vendor.received) - mark
        assert after[200] > 0.4 * sent, (before, after, sent)  # A quarter, where nothing is held back.
        vendor.choose = lambda _: None
        assert (await asyncio.to_thread(ask, running.port, key, HELLO)).status == 200


async def seen(running: Exchange, line: str) -> None:
    """Wait until the metrics say so."""
    until = time.monotonic() + 10
    while line not in (text := (await asyncio.to_thread(running.get, "/metrics"))[1]):
        assert time.monotonic() < until, text
        await asyncio.sleep(0.02)
