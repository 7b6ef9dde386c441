"""Three exchanges, one of them with two workers, keep a limit together on one Postgres, within the stated bound."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import deployment, estate, exchange
from tests.postgres.sharing import Shared
from tests.upstreams.scripted import in_thread

HELLO: Any = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
LIMIT = 600
WORKERS = ("1", "1", "2")
STRANDED = 0.04
"""The most of the limit that each worker may keep in hand in vain: two slices of a fiftieth."""

pytestmark = pytest.mark.slow


async def callers(url: str, key: str, count: int) -> int:
    """Call until each is refused; return how many calls were let through."""
    passed = 0

    async def call(client: openai.AsyncOpenAI) -> None:
        nonlocal passed
        for _ in range(LIMIT):
            try:
                await client.chat.completions.create(**HELLO)
            except openai.RateLimitError:
                return
            passed += 1

    async with openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0, timeout=60) as client:
        await asyncio.gather(*(call(client) for _ in range(count)))
    return passed


async def test_three_exchanges_let_through_no_more_than_the_limit_and_nearly_all_of_it(
    tmp_path: Path, postgres: Shared
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(postgres.database(empty=True))
        vendor = stack.enter_context(in_thread())
        limits = [{"on": {"unit": "acme"}, "rpd": LIMIT}]
        declared = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]}, limits=limits)
        running = []
        for number, workers in enumerate(WORKERS):
            folder = tmp_path / f"exchange-{number}"
            folder.mkdir()
            more = ("--no-engine", "--workers", workers)
            running.append(stack.enter_context(exchange(folder, declared, *more, TRUNKLINE_STORE=url)))
        key = running[0].key("marketing")
        passed = await asyncio.gather(
            *(callers(one.url, key, count) for one, count in zip(running, (8, 4, 2), strict=True))
        )
        error = (LIMIT - sum(passed)) / LIMIT
        print(f"requests let through of {LIMIT} by each of three exchanges: {passed}, {error:.1%} unused")  # noqa: T201
        assert sum(passed) == len(vendor.received) <= LIMIT
        assert error <= STRANDED * sum(map(int, WORKERS))
