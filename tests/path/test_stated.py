"""What a provider states that it bills is booked, whole and streamed; the estate's own price goes before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream

ROUTER: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "golden" / "vendors" / "openrouter.json").read_text()
)
HI: Final[Any] = [{"role": "user", "content": "hi"}]
STATED: Final = 0.0004275
"""0.00095 dollars in euros."""


def script(received: Received) -> Script:
    """Play OpenRouter; the answer to a request with seed 0 states nothing."""
    asked = json.loads(received.body)
    if asked.get("seed") == 0:
        usage = {name: value for name, value in ROUTER["answer"]["usage"].items() if name != "cost"}
        return Script(body=json.dumps(ROUTER["answer"] | {"usage": usage}).encode())
    if not asked.get("stream"):
        return Script(body=json.dumps(ROUTER["answer"]).encode())
    events = (*(json.dumps(one).encode() for one in ROUTER["stream"]), b"[DONE]")
    return Script(body=b"".join(b"data: %b\n\n" % event for event in events))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    named = {"model": "anthropic/claude-haiku-4.5", "upstream_model": "anthropic/claude-haiku-4.5"}
    listed = deployment(vendor_of_module.url, price=None, **named)
    own = deployment(vendor_of_module.url, **named)
    made = estate({"listed": listed, "own": own}, {"listed": [["listed"]], "own": [["own"]]})
    made["boundaries"]["vendor"]["provider"] = "openrouter"
    made["exchange_rates"] = {"USD": {"EUR": 0.45}}
    with exchange(tmp_path_factory.mktemp("stated"), made) as started:
        yield started


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_what_is_stated_is_booked(
    running: Exchange, key: str, vendor: Upstream, customer: str, stream: bool, path: str
) -> None:
    vendor.choose = script
    body = {"model": "listed", "messages": HI, "stream": stream, "max_tokens": 99}
    got = ask(running.port, key, body, path, {"x-trunkline-end-customer": customer})
    assert got.status == 200, got.body
    (row,) = running.attempts_of(customer, 1)
    assert (row["cost"], row["tokens_input"]) == (STATED, 1000)
    assert row["price_version"].startswith("usage.cost as stated, else genai-prices ")
    if not stream:
        assert got.headers["x-trunkline-cost"] == str(STATED)


@pytest.mark.parametrize(
    ("model", "seed", "cost"),
    [
        # (300 + 600 x 0.1 + 100 x 1.25 + 40 x 5) dollars per million, in euros
        ("listed", 0, 0.00030825),
        # (400 + 600 x 0.5 + 40 x 2) euros per million
        ("own", 1, 0.00078),
    ],
)
def test_tokens_are_priced_where_nothing_is_stated_or_the_estate_has_a_price(
    running: Exchange, key: str, vendor: Upstream, customer: str, model: str, seed: int, cost: float
) -> None:
    vendor.choose = script
    body = {"model": model, "messages": HI, "seed": seed}
    assert ask(running.port, key, body, headers={"x-trunkline-end-customer": customer}).status == 200
    (row,) = running.attempts_of(customer, 1)
    assert row["cost"] == cost
