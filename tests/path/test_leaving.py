"""A client that leaves: its upstream is stopped at once, in whatever dialect, and it pays for what was produced."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream

TRIES = 3
LONG = Script(pieces=tuple(f"word{number} " for number in range(500)), pace=0.02)
HI = [{"role": "user", "content": "hi"}]
HI_GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
DIALECTS = ("openai", "anthropic", "gemini", "responses")
CUSTOMER = "x-trunkline-end-customer"


def declared(vendor: Upstream) -> dict[str, Any]:
    """A deployment of each dialect, and one of a provider that bills on when its reader has hung up."""
    root = vendor.url.removesuffix("/v1")
    deployments = {
        "openai": deployment(vendor.url),
        "anthropic": deployment(vendor.url, model="anthropic/some-model", boundary="claude", dialect="anthropic"),
        "gemini": deployment(root, model="google/some-model", boundary="google", dialect="gemini"),
        "responses": deployment(vendor.url, dialect="responses"),
        "bills-on": deployment(vendor.url, boundary="groq"),
    }
    made = estate(deployments, {name: [[name]] for name in deployments})
    made["boundaries"] |= {
        name: made["boundaries"]["vendor"] | {"provider": provider}
        for name, provider in (("claude", "anthropic"), ("google", "google"), ("groq", "groq"))
    }
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("leaving"), declared(vendor_of_module)) as started:
        yield started


def asked(door: str, model: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Return path and body of a call in a dialect."""
    match door:
        case "anthropic":
            return "/v1/messages", {"model": model, "messages": HI, "max_tokens": 1000, "stream": stream}
        case "gemini":
            how = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/{model}:{how}", HI_GEMINI
        case "responses":
            return "/v1/responses", {"model": model, "input": "hi", "stream": stream}
    return "/v1/chat/completions", {"model": model, "messages": HI, "stream": stream}


def leave(running: Exchange, vendor: Upstream, key: str, customer: str, call: tuple[str, dict[str, Any]]) -> Received:
    """Ask, wait for the first bytes of a stream or for the upstream to be asked, hang up; return what the upstream saw.

    It was told long before it would have come to an end by itself.
    """
    path, body = call
    vendor.received.clear()
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {key}", CUSTOMER: customer})
    if vendor.default is LONG:
        with connection.getresponse() as answer:
            answer.read(1500)
            connection.close()
    else:
        assert vendor.wait_for(1)
        connection.close()
    (received,) = vendor.received
    assert received.over.wait(20)
    assert received.left_at is not None
    assert received.events < len(LONG.pieces) / 2
    return received


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("door", DIALECTS)
def test_a_stream_whose_reader_leaves_is_stopped_at_once_and_what_came_is_paid_for(
    running: Exchange, key: str, vendor: Upstream, customer: str, door: str, upstream: str
) -> None:
    vendor.default = LONG
    call = asked(door, upstream, stream=True)
    for _ in range(TRIES):
        leave(running, vendor, key, customer, call)
    for row in running.attempts_of(customer, TRIES):
        assert (row["status"], row["estimated"]) == ("left", True)
        assert 0 < row["tokens_output"] < len(LONG.pieces)
        assert 0 < row["cost"] < row["hold"]


@pytest.mark.parametrize("door", DIALECTS)
def test_a_whole_answer_whose_reader_leaves_is_stopped_at_once_and_paid_for_at_its_hold(
    running: Exchange, key: str, vendor: Upstream, customer: str, door: str
) -> None:
    vendor.default = scripts.HANG_BEFORE_HEAD
    call = asked(door, door, stream=False)
    for _ in range(TRIES):
        leave(running, vendor, key, customer, call)
    for row in running.attempts_of(customer, TRIES):
        assert (row["status"], row["estimated"]) == ("left", True)
        # How much of it was made nobody can know: the most that it could have cost.
        assert row["cost"] == row["hold"] > 0


def test_where_the_provider_bills_on_a_reader_that_leaves_pays_to_the_end(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    vendor.default = LONG
    leave(running, vendor, key, customer, asked("openai", "bills-on", stream=True))
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["estimated"]) == ("left", True)
    assert row["cost"] == row["hold"] > 0
