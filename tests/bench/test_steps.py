"""The steps that are measured are those of the product: each runs by itself, with every policy on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.path.exchange import KEY_NAME, VENDOR_KEY

from bench import steps


async def test_each_step_of_the_path_can_be_measured_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_NAME.removeprefix("env:"), VENDOR_KEY)
    async with steps.made(tmp_path) as (exchange, raw):
        ready = await steps.steps(exchange, raw)
        for step in ready.values():
            step()
    assert [name.partition(":")[0] for name in ready] == [
        *("read", "identify", "decode", "permit", "route", "limits", "budgets", "compose", "journal", "the answer")
    ]


async def test_a_step_that_would_wait_is_told_and_not_measured() -> None:
    async def waits() -> None:
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="waited"):
        steps.at_once(waits())
