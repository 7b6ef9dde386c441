"""Hard budgets through the whole product: nothing beyond them is ever produced, and refusals say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

HELLO: Any = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
COST = Decimal("0.000157")
"""What one answer of a hundred tokens costs at 1 and 2 per million: 7 and 75 tokens."""

ANSWER = Script(pieces=("The ",) * 75)
CALLS = 200


def declared(vendor: Upstream, *budgets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return estate({"gpt": deployment(vendor.url, **more)}, {"chat": [["gpt"]]}, budgets=list(budgets))


def budget(amount: object, per: str = "month", *, hard: bool = True, **on: str) -> dict[str, Any]:
    return {"on": on, "per": per, "amount": float(str(amount)), "hard": hard}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with in_thread(ANSWER) as upstream:
        yield upstream


async def burst(running: Exchange, key: str, callers: int, most: int) -> tuple[int, list[openai.APIStatusError]]:
    """Have callers call until each was refused or has called so often; return answers and refusals."""
    answered = 0
    refused: list[openai.APIStatusError] = []

    async def call(client: openai.AsyncOpenAI) -> None:
        nonlocal answered
        for _ in range(most):
            try:
                await client.chat.completions.create(**HELLO)
            except openai.APIStatusError as error:
                refused.append(error)
                return
            answered += 1

    async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
        await asyncio.gather(*(call(client) for _ in range(callers)))
    return answered, refused


@pytest.mark.parametrize("workers", ["1", "4"])
async def test_a_budget_is_used_up_to_the_last_call_and_never_beyond(
    vendor: Upstream, tmp_path: Path, workers: str
) -> None:
    vendor.reset()
    vendor.default = ANSWER
    limit = COST * CALLS
    made = declared(vendor, budget(limit, unit="marketing"))
    with exchange(tmp_path, made, "--no-engine", "--workers", workers) as running:
        key = running.key("marketing")
        answered, refused = await burst(running, key, 16, CALLS)
        assert len(refused) == 16
        assert {error.code for error in refused} == {"insufficient_quota"}
        assert len(vendor.received) == answered <= CALLS
        most = 2 * COST  # no more than one call may cost
        assert answered * COST > limit - int(workers) * most
        spent = sum(Decimal(str(row["cost"])) for row in running.rows("ledger", "sum", "--by", "unit"))
        assert spent == answered * COST


def test_a_refusal_says_which_budget_what_is_left_when_it_begins_anew_and_whom_to_ask(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.reset()
    vendor.default = ANSWER
    made = declared(vendor, budget("0.0001", "day", unit="marketing"), budget(5, "day", unit="acme"))
    with exchange(tmp_path, made) as running:
        with openai.OpenAI(api_key=running.key("marketing"), base_url=running.url, max_retries=5) as client:
            with pytest.raises(openai.RateLimitError) as refused:
                client.chat.completions.create(**HELLO)
            assert refused.value.response.headers["x-should-retry"] == "false"
            assert refused.value.code == "insufficient_quota"
            said = refused.value.message
            for part in (
                'unit "marketing"',
                "0.0001 EUR per day",
                "0.0001 are left",
                "Europe/Berlin",
                'ask unit "acme"',
            ):
                assert part in said
        with openai.OpenAI(api_key=running.key("finance"), base_url=running.url) as client:
            assert client.chat.completions.create(**HELLO).choices
        assert len(vendor.received) == 1
