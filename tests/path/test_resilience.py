"""What callers may ask of the way their call takes, and what they are told of it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

TIMEOUT = "x-trunkline-timeout"
PATIENCE = 20.0
"""Seconds for which the estate would have a call wait."""


@pytest.fixture(scope="module")
def other_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def other(other_of_module: Upstream) -> Upstream:
    other_of_module.reset()
    return other_of_module


@pytest.fixture(scope="module")
def resilient(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, other_of_module: Upstream
) -> Iterator[Exchange]:
    patient = {"connect": 2, "first_byte": PATIENCE, "between": PATIENCE, "total": 60}
    calm = {"failures": 1_000_000, "share": 1}
    deployments = {
        "first": deployment(vendor_of_module.url, timeouts=patient, tolerance=calm),
        "second": deployment(other_of_module.url, timeouts=patient, tolerance=calm, model="mistral/mistral-large"),
        "again": deployment(vendor_of_module.url, tolerance=calm, retries=1),
    }
    tiers = {"chat": [["first"], ["second"]], "alone": [["again"]]}
    declared = estate(deployments, tiers)
    declared["use_cases"]["faithful"] = dict(declared["use_cases"]["chat"])
    declared["use_cases"]["chat"]["substitutes"] = ["mistral/mistral-large"]
    with exchange(tmp_path_factory.mktemp("resilient"), declared) as started:
        yield started


@pytest.fixture(scope="module")
def own_key(resilient: Exchange) -> str:
    return resilient.key("finance")


def test_a_caller_in_a_hurry_is_told_in_time_what_was_tried(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream
) -> None:
    vendor.default = other.default = scripts.HANG_BEFORE_HEAD
    began = time.monotonic()
    got = ask(resilient.port, own_key, HELLO, headers={TIMEOUT: "1"})
    assert time.monotonic() - began < PATIENCE
    assert got.status == 504
    assert got.error is not None
    assert "first" in got.error["message"]
    assert not other.received


def test_the_sdks_own_time_out_is_heeded_before_it_strikes(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream
) -> None:
    vendor.default = other.default = scripts.HANG_BEFORE_HEAD
    with (
        openai.OpenAI(api_key=own_key, base_url=resilient.url, max_retries=0, timeout=4) as impatient,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        impatient.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code == 504


@pytest.mark.parametrize("said", ["soon", "-1", "0", "nan"])
def test_a_time_out_that_is_none_is_refused(resilient: Exchange, own_key: str, vendor: Upstream, said: str) -> None:
    got = ask(resilient.port, own_key, HELLO, headers={TIMEOUT: said})
    assert got.status == 400
    assert got.error is not None
    assert got.error["code"] == "unknown_timeout"


def test_a_substitute_is_named_and_the_first_choice_is_not(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream
) -> None:
    assert "x-trunkline-substitute" not in ask(resilient.port, own_key, HELLO).headers
    vendor.default = scripts.SERVER_ERROR
    got = ask(resilient.port, own_key, HELLO)
    assert got.headers["x-trunkline-substitute"] == "mistral/mistral-large for openai/gpt-4.1-mini"


def test_no_other_model_stands_in_where_the_use_case_names_none(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream, customer: str
) -> None:
    vendor.default = scripts.SERVER_ERROR
    got = ask(resilient.port, own_key, HELLO | {"model": "faithful", "user": customer})
    assert got.status == 502
    assert not other.received
    assert "1 of another model" in resilient.attempts_of(customer, 1)[0]["decision"]


def test_a_call_is_repeated_where_there_is_nowhere_else_to_go(
    resilient: Exchange, own_key: str, vendor: Upstream, customer: str
) -> None:
    vendor.play(Script(status=503))
    got = ask(resilient.port, own_key, HELLO | {"model": "alone", "user": customer})
    assert got.status == 200
    rows = resilient.attempts_of(customer, 2)
    assert [(row["status"], row["cost"]) for row in rows[:1]] == [("failed", 0)]
    assert "again after 1 failed" in rows[1]["decision"]


def test_a_prompt_too_long_for_one_model_goes_to_the_next(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream
) -> None:
    said = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    raw = json.dumps(said).encode()
    head = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n" % len(raw)
    vendor.default = Script(raw=head + raw)
    assert ask(resilient.port, own_key, HELLO).status == 200
    other.default = vendor.default
    got = ask(resilient.port, own_key, HELLO)
    assert got.status == 400
    assert got.error is not None
    assert got.error["code"] == "context_length_exceeded"


def test_heartbeats_come_only_where_they_are_asked_for(
    resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream
) -> None:
    vendor.default = Script(pace=0.4)
    body = HELLO | {"stream": True}
    asked = ask(resilient.port, own_key, body, headers={"x-trunkline-heartbeat": "1"})
    assert asked.body.count(b": heartbeat\n\n") >= 1
    assert asked.text == Script().text
    assert b": heartbeat" not in ask(resilient.port, own_key, body).body


def test_comments_alone_begin_no_answer(resilient: Exchange, own_key: str, vendor: Upstream, other: Upstream) -> None:
    vendor.default = Script(body=b": processing\n\n: processing\n\n")
    got = ask(resilient.port, own_key, HELLO | {"stream": True})
    assert (got.status, got.headers["x-trunkline-deployment"], got.error) == (200, "second", None)


def test_the_upstream_is_stopped_when_the_client_leaves(resilient: Exchange, own_key: str, vendor: Upstream) -> None:
    vendor.default = Script(pieces=tuple("word " for _ in range(500)), pace=0.01)
    for _ in range(5):
        vendor.received.clear()
        connection = http.client.HTTPConnection("127.0.0.1", resilient.port, timeout=10)
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(HELLO | {"stream": True}), {"authorization": f"Bearer {own_key}"}
        )
        with connection.getresponse() as answer:
            answer.read(200)
            connection.close()
        (received,) = vendor.received
        assert received.over.wait(20)
        assert received.left_at is not None
        assert received.events < 250


def test_top_shows_what_happens(resilient: Exchange, own_key: str, vendor: Upstream, tmp_path: Path) -> None:
    ask(resilient.port, own_key, HELLO)
    rows = {row["name"]: row for row in resilient.rows("top", "--every", "0.2")}
    assert rows["first"]["pools"] == ["for-chat"]
    assert rows["first"]["state"] == "ready"
    assert "calls/s" in resilient.command("top", "--once", "--every", "0.2")
