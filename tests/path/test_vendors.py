"""Every vendor that speaks OpenAI's dialect: what it answers, streams and refuses is read right over the real path.

What each answers stands in one golden fixture, `tests/golden/vendors/VENDOR.json`; its file in the catalogue says the
rest. Nothing else knows of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream

from trunkline.catalog.vendor import load_vendors
from trunkline.dialects.registry import DIALECTS

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "vendors"
VENDORS: Final = {name: vendor for name, vendor in load_vendors().items() if vendor.dialect == "openai"}
FIXTURES: Final[dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}
HI: Final[Any] = [{"role": "user", "content": "hi"}]
TOLD: Final = {"rate_limit": 429, "quota": 429, "overloaded": 503, "authentication": 502, "not_found": 502}
each = pytest.mark.parametrize("name", FIXTURES)


def events(fixture: dict[str, Any]) -> bytes:
    """The stream of a fixture as it stands on the wire."""
    told = [json.dumps(event).encode() for event in fixture["stream"]]
    return b"".join(b"data: " + data + b"\n\n" for data in (*told, b"[DONE]"))


def script(received: Received) -> Script | None:
    """Play the fixture whose name a request gives as its model."""
    try:
        asked = json.loads(received.body)
    except ValueError:
        return None
    name, _, what = asked["model"].partition("+")
    fixture = FIXTURES.get(name)
    if fixture is None:
        return None
    if what == "error":
        error = fixture["error"]
        return Script(status=error["status"], body=json.dumps(error["body"]).encode())
    return Script(body=events(fixture) if asked.get("stream") else json.dumps(fixture["answer"]).encode())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    names = [*FIXTURES, *(f"{name}+error" for name in FIXTURES)]
    deployments = {
        name.replace("+", "-"): deployment(
            vendor_of_module.url,
            model="some/model",
            upstream_model=name,
            boundary=name.partition("+")[0],
            probe="off",
        )
        for name in names
    }
    made = estate(deployments, {name: [[name]] for name in deployments})
    vendors = made["boundaries"]["vendor"]
    made["boundaries"] = {name: vendors | {"provider": name} for name in FIXTURES}
    with exchange(tmp_path_factory.mktemp("vendors"), made) as started:
        yield started


@pytest.fixture
def played(vendor: Upstream) -> Upstream:
    """The upstream of all vendors."""
    vendor.choose = script
    return vendor


def counted(row: dict[str, Any]) -> dict[str, int]:
    return {kind: row[f"tokens_{kind}"] for kind in ("input", "cached", "cache_write", "output", "reasoning")}


def test_every_vendor_of_the_dialect_has_a_fixture_that_names_its_source() -> None:
    assert set(FIXTURES) == set(VENDORS)
    for name, fixture in FIXTURES.items():
        assert fixture["vendor"] == name
        assert fixture["source"]


@each
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("door", ["openai", "anthropic"])
def test_its_answer_is_read_and_its_tokens_are_booked_as_billed(
    running: Exchange, key: str, played: Upstream, customer: str, name: str, stream: bool, door: str
) -> None:
    headers = {"x-trunkline-end-customer": customer}
    body = {"model": name, "messages": HI, "stream": stream, "max_tokens": 99}
    path = "/v1/chat/completions" if door == "openai" else "/v1/messages"
    got = ask(running.port, key, body, path, headers)
    assert got.status == 200, got.body
    fixture = FIXTURES[name]
    if door == "openai":
        assert got.text == "Hello there" if stream else got.json == fixture["answer"]
    elif stream:
        texts = [chunk["delta"].get("text", "") for chunk in got.chunks if chunk["type"] == "content_block_delta"]
        assert "".join(texts) == "Hello there"
    else:
        assert [part["text"] for part in got.json["content"] if part["type"] == "text"] == ["Hello there"]
    (row,) = running.attempts_of(customer, 1)
    assert (counted(row), row["estimated"]) == (fixture["counted"], False)
    received = played.received[-1]
    header, _, value = VENDORS[name].auth.format(key=VENDOR_KEY).partition(": ")
    assert received.header(header) == value
    sent = json.loads(received.body)
    assert ("stream_options" in sent) == (stream and "stream_options" not in VENDORS[name].omits)


@each
def test_its_error_keeps_its_meaning(running: Exchange, key: str, played: Upstream, name: str) -> None:
    del played
    error = FIXTURES[name]["error"]
    raw = json.dumps(error["body"]).encode()
    assert DIALECTS["openai"].read_failure(error["status"], raw).trouble.value == error["trouble"]
    got = ask(running.port, key, {"model": f"{name}-error", "messages": HI})
    assert got.status == TOLD.get(error["trouble"], error["status"])
    assert got.headers["x-trunkline-upstream-status"] == str(error["status"])


def test_fields_that_a_vendor_calls_otherwise_are_renamed(running: Exchange, key: str, played: Upstream) -> None:
    body = {"model": "mistral", "messages": HI, "seed": 7, "max_completion_tokens": 9, "temperature": 0.5}
    assert ask(running.port, key, body).status == 200
    sent = json.loads(played.received[-1].body)
    assert sent == {"model": "mistral", "messages": HI, "temperature": 0.5, "max_tokens": 9, "random_seed": 7}


def test_a_thought_of_a_turn_that_calls_goes_back_to_the_vendor_that_needs_it(
    running: Exchange, key: str, played: Upstream
) -> None:
    turns = [
        *HI,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I look it up.", "signature": ""},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "fine"}]},
    ]
    told = {}
    for name in ("deepseek", "openai"):
        body = {"model": name, "messages": turns, "max_tokens": 9}
        assert ask(running.port, key, body, "/v1/messages").status == 200
        told[name] = json.loads(played.received[-1].body)["messages"][1].get("reasoning_content")
    assert told == {"deepseek": "I look it up.", "openai": None}
