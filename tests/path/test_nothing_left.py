"""Callers that leave at any moment, before upstreams that fail in every way: afterwards nothing is counted any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.path.test_budgets import budget
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

ROUNDS, AT_ONCE = 4, 15
MOMENTS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.3, 0.6)
STAYS = 20.0
FATES = (
    Script(),
    Script(delay=0.2),
    Script(pace=0.05),
    Script(hang="head"),
    Script(hang="body"),
    Script(cut=300),
    Script(cut=900, reset=True),
    Script(status=503),
    Script(status=429),
    Script(drop=True),
    Script(error_after=2),
    Script(body=b"[]"),
)
GAUGES = ("trunkline_in_flight", "trunkline_upstream_outstanding_", "trunkline_upstream_waiting_calls")


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """Return an estate in which calls wait for slots, fail over, are copied, and are held in a budget."""
    times = {"connect": 1, "first_byte": 1, "between": 1, "total": 5}
    made = estate(
        {
            "few": deployment(vendor.url, capacity={"concurrency": 3}, timeouts=times, retries=1),
            "fewer": deployment(spare.url, capacity={"concurrency": 2}, timeouts=times),
            "many": deployment(vendor.url, timeouts=times),
            "copies": deployment(vendor.url, timeouts=times),
        },
        {"chat": [["few"], ["fewer"]], "pair": [["few", "many"]], "solo": [["many"]]},
        budgets=[budget(1, "month", unit="acme")],
        limits=[{"on": {"unit": "acme"}, "concurrency": 12}],
    )
    made["use_cases"]["pair"]["shadows"] = {"try": {"to": "copies", "share": 1}}
    made["use_cases"]["chat"]["wait"] = 1
    return made


async def call(running: Exchange, key: str, drawn: random.Random) -> None:
    """Make one call, and leave at some moment."""
    body = json.dumps(
        {
            "model": drawn.choice(("chat", "pair", "solo")),
            "messages": [{"role": "user", "content": "hi"}],
            "stream": drawn.random() < 0.6,
            "max_tokens": 50,
        }
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(drawn.choice((*MOMENTS, STAYS))):
            await reader.read()
    writer.close()


def left_over(running: Exchange) -> list[str]:
    """Return the samples of what is under way that are not 0."""
    lines = [line for line in running.get("/metrics")[1].splitlines() if not line.startswith("#")]
    gauges = [line for line in lines if line.startswith(GAUGES)]
    gauges += [line for line in lines if line.startswith("trunkline_limit{") and 'what="used"' in line]
    assert gauges
    return [line for line in gauges if float(line.rpartition(" ")[2])]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
async def test_whoever_leaves_when_nothing_stays_counted_and_the_exchange_ends(
    tmp_path: Path, vendor: Upstream, spare: Upstream, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(seed)  # noqa: S311 - a scene that can be played again, no secret
    monkeypatch.setattr(vendor, "script_for", lambda _: drawn.choice(FATES))
    running = start(tmp_path, declared(vendor, spare))
    try:
        key = running.key("finance")
        for _ in range(ROUNDS):
            await asyncio.gather(*(call(running, key, drawn) for _ in range(AT_ONCE)))
        until = time.monotonic() + 30
        while rest := left_over(running):
            assert time.monotonic() < until, rest
            await asyncio.sleep(0.1)
        assert "everything agrees" in running.command("ledger", "verify")
    finally:
        stop(running)
    assert running.process.returncode == 0
    assert "Traceback" not in (tmp_path / "up.log").read_text()
