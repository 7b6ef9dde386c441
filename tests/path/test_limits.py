"""Limits and quotas through the whole product: what goes beyond them goes elsewhere, or is told when to return."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

HELLO: Any = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
CALLS = 40
LIMIT = 25


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def fresh(vendor: Upstream) -> None:
    vendor.reset()


def declared(vendor: Upstream, *limits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}, limits=list(limits), **more)


def within_one_minute() -> None:
    """Begin where the minute is not about to end: what is counted must fall into one."""
    left = 60 - time.time() % 60
    if left < 8:
        time.sleep(left)


async def outcomes(url: str, key: str, calls: int) -> list[openai.RateLimitError | None]:
    async def call(client: openai.AsyncOpenAI) -> openai.RateLimitError | None:
        try:
            await client.chat.completions.create(**HELLO)
        except openai.RateLimitError as refused:
            return refused
        return None

    async with openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0, timeout=30) as client:
        return await asyncio.gather(*(call(client) for _ in range(calls)))


@pytest.mark.parametrize("workers", ["1", "2", "4"])
async def test_exactly_as_many_calls_pass_as_a_limit_allows_over_all_workers(
    vendor: Upstream, tmp_path: Path, workers: str
) -> None:
    made = declared(vendor, {"on": {"unit": "acme"}, "rpm": LIMIT})
    with exchange(tmp_path, made, "--no-engine", "--workers", workers) as running:
        key = running.key("marketing")
        within_one_minute()
        refused = [one for one in await outcomes(running.url, key, CALLS) if one is not None]
        assert len(vendor.received) == LIMIT
        assert len(refused) == CALLS - LIMIT
        assert Counter(one.code for one in refused) == {"rate_limit_exceeded": CALLS - LIMIT}
        for one in refused:
            assert 1 <= int(one.response.headers["retry-after"]) <= 60
            assert "x-should-retry" not in one.response.headers
            assert 'unit "acme", 25 requests per minute: 0 are left' in one.message
        text = running.get("/metrics")[1]
        assert f'trunkline_limit{{limit="unit:acme/rpm",what="used"}} {LIMIT}.0' in text
        assert f'trunkline_limit_refused_total{{limit="unit:acme/rpm"}} {CALLS - LIMIT}.0' in text


async def test_tokens_that_were_held_and_not_used_can_be_used_by_the_next_call(
    vendor: Upstream, tmp_path: Path
) -> None:
    with exchange(tmp_path, declared(vendor, {"on": {"use_case": "chat"}, "tpm": 1_000})) as running:
        key = running.key("marketing")
        within_one_minute()
        for _ in range(10):  # Each may use up to a hundred tokens and its prompt's bytes, and uses some ten.
            assert await outcomes(running.url, key, 1) == [None]
        with (
            openai.OpenAI(api_key=key, base_url=running.url, max_retries=3) as client,
            pytest.raises(openai.RateLimitError) as refused,
        ):
            client.chat.completions.create(**HELLO | {"max_tokens": 2_000})
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert "more than the limit" in refused.value.message
        assert "max_tokens" in refused.value.message


async def test_a_boundary_whose_quota_is_used_up_is_passed_over_and_the_ledger_says_why(
    vendor: Upstream, tmp_path: Path
) -> None:
    with in_thread() as spare:
        boundary = {"provider": "openai", "account": "a", "owner": "acme"}
        made = estate(
            {"gpt": deployment(vendor.url), "other": deployment(spare.url, boundary="second")},
            {"chat": [["gpt"], ["other"]]},
            boundaries={
                "vendor": boundary | {"quota": {"rpm": 3}},
                "second": boundary | {"quota": {"models": {"openai/gpt-4.1-mini": {"rpm": 2}}}},
            },
        )
        with exchange(tmp_path, made) as running:
            key = running.key("marketing")
            within_one_minute()
            refused = [one for one in await outcomes(running.url, key, 8) if one is not None]
            assert (len(vendor.received), len(spare.received), len(refused)) == (3, 2, 3)
            assert {one.code for one in refused} == {"rate_limit_exceeded"}
            assert 1 <= int(refused[0].response.headers["retry-after"]) <= 60
            running.await_booked()
            rows = running.rows("ledger", "tail")
            why = [row["decision"] for row in rows if row["deployment"] == "other"]
            assert all('gpt has no room: the limit of boundary "vendor"' in one for one in why)
            assert len(why) == 2


async def test_a_quota_is_used_evenly_calls_wait_a_little_for_it_and_those_that_would_wait_too_long_go_elsewhere(
    vendor: Upstream, tmp_path: Path
) -> None:
    with in_thread() as spare:
        boundary = {"provider": "openai", "account": "a", "owner": "acme"}
        made = estate(
            {"gpt": deployment(vendor.url), "other": deployment(spare.url, boundary="second")},
            {"chat": [["gpt"]], "elsewhere": [["other"]]},
            boundaries={
                "vendor": boundary | {"quota": {"rpm": 60, "burst": 1}},
                "second": boundary | {"quota": {"rpm": 2, "burst": 1}},  # one in thirty seconds
            },
        )
        with exchange(tmp_path, made) as running:
            key = running.key("marketing")
            within_one_minute()
            assert await outcomes(running.url, key, 4) == [None] * 4
            assert len(vendor.received) == 4
            async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=60) as client:
                await client.chat.completions.create(**HELLO | {"model": "elsewhere"})
                with pytest.raises(openai.RateLimitError) as refused:
                    await client.chat.completions.create(**HELLO | {"model": "elsewhere"})
            assert 1 <= int(refused.value.response.headers["retry-after"]) <= 30
            assert "takes 2 requests a minute, and 1 at once" in refused.value.message
            assert len(spare.received) == 1


async def test_no_more_calls_run_at_once_than_a_limit_says_and_an_sdk_comes_back_when_told_to(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.default = Script(delay=0.3)
    with exchange(tmp_path, declared(vendor, {"on": {"unit": "marketing"}, "concurrency": 4})) as running:
        key = running.key("marketing")
        refused = [one for one in await outcomes(running.url, key, 9) if one is not None]
        assert (len(vendor.received), len(refused)) == (4, 5)
        assert refused[0].response.headers["retry-after"] == "1"
        async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=4, timeout=30) as client:
            answers = await asyncio.gather(*(client.chat.completions.create(**HELLO) for _ in range(7)))
        assert len(answers) == 7
        assert 'trunkline_limit{limit="unit:marketing/concurrency",what="used"} 0.0' in running.get("/metrics")[1]


def rates_in(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ratelimit" in name}


def test_callers_are_told_what_is_left_of_their_tightest_limit_as_their_dialect_tells_it(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.default = Script(
        headers=(("x-ratelimit-remaining-requests", "77777"), ("x-ratelimit-limit-tokens", "88888"))
    )
    made = declared(
        vendor,
        {"on": {"unit": "acme"}, "rpm": 50},
        {"on": {"unit": "marketing"}, "rpm": 3, "tpm": 100_000},
        {"on": {"deployment": "gpt"}, "rpm": 1_000},
    )
    with exchange(tmp_path, made) as running:
        key, other = running.key("marketing"), running.key("acme")
        within_one_minute()
        told = rates_in(ask(running.port, key, HELLO).headers)
        assert told.pop("x-ratelimit-reset-requests").endswith("s")
        assert told.pop("x-ratelimit-reset-tokens").endswith("s")
        assert 98_000 < int(told.pop("x-ratelimit-remaining-tokens")) < 100_000
        assert told == {
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-remaining-requests": "2",
            "x-ratelimit-limit-tokens": "100000",
        }
        theirs = rates_in(ask(running.port, key, HELLO, path="/v1/messages").headers)
        assert theirs["anthropic-ratelimit-requests-limit"] == "3"
        assert theirs["anthropic-ratelimit-requests-remaining"] == "1"
        assert theirs["anthropic-ratelimit-requests-reset"].endswith(":00Z")
        assert set(theirs) == {
            f"anthropic-ratelimit-{what}-{part}"
            for what in ("requests", "tokens")
            for part in ("limit", "remaining", "reset")
        }
        assert (
            rates_in(ask(running.port, key, HELLO | {"stream": True}).headers)["x-ratelimit-remaining-requests"] == "0"
        )
        refused = ask(running.port, key, HELLO)
        assert refused.status == 429
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert set(rates_in(ask(running.port, other, HELLO).headers)) == {
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        }


def test_where_no_limit_of_the_callers_is_declared_nothing_is_told_and_what_a_provider_tells_stays_here(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.default = Script(
        headers=(("x-ratelimit-remaining-requests", "77777"), ("x-ratelimit-limit-tokens", "88888"))
    )
    with exchange(tmp_path, declared(vendor, {"on": {"deployment": "gpt"}, "rpm": 1_000})) as running:
        key = running.key("marketing")
        assert not rates_in(ask(running.port, key, HELLO).headers)
        assert not rates_in(ask(running.port, key, HELLO | {"stream": True}).headers)
