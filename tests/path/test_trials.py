"""Splits and shadows, end to end: who answers, who pays, what the ledger and the report say, what callers never see."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.path.exchange import CLAIMS, Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

WITHIN = 20.0
TRAINS = {"training_use": CLAIMS["training_use"] | {"value": "always"}}


@pytest.fixture(scope="module")
def other_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def other(other_of_module: Upstream) -> Upstream:
    other_of_module.reset()
    return other_of_module


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, other_of_module: Upstream
) -> Iterator[Exchange]:
    calm = {"failures": 1_000_000, "share": 1}
    model = "mistral/mistral-large"
    deployments = {
        "gpt": deployment(vendor_of_module.url, tolerance=calm),
        "new": deployment(other_of_module.url, tolerance=calm, model=model, timeouts={"first_byte": 30, "total": 60}),
        "open": deployment(other_of_module.url, tolerance=calm, controls=TRAINS, upstream_model="trains"),
    }
    names = ("split", "copied", "slow", "barred", "poor")
    declared = estate(deployments, {name: [["gpt"]] for name in names})
    cases: dict[str, Any] = declared["use_cases"]
    declared["pools"]["for-split"]["tiers"] = [["gpt", "new"]]
    cases["split"]["splits"] = {"try-new": {"shares": {"openai/gpt-4.1-mini": 1, model: 1}}}
    cases["copied"]["shadows"] = {"to-new": {"to": "new", "share": 1}}
    cases["slow"]["shadows"] = {"to-new": {"to": "new", "share": 1, "at_once": 1}}
    cases["barred"]["shadows"] = {"to-open": {"to": "open", "share": 1}}
    cases["poor"] |= {"owner": "finance", "shadows": {"to-new": {"to": "new", "share": 1}}}
    declared["budgets"] = [{"on": {"unit": "finance"}, "per": "month", "amount": 0.0001, "hard": True}]
    with exchange(tmp_path_factory.mktemp("trials"), declared) as started:
        yield started


@pytest.fixture(scope="module")
def key(running: Exchange) -> str:
    return running.key("marketing")


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def events(running: Exchange, event: str) -> float:
    lines = running.get("/metrics")[1].splitlines()
    of = [line for line in lines if line.startswith("trunkline_upstream_events_total") and f'event="{event}"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in of)


def shown(running: Exchange, request: str) -> dict[str, Any]:
    """What the ledger has of a call."""
    call: dict[str, Any] = json.loads(running.command("ledger", "show", request, "--json"))
    return call


def attempts(running: Exchange, request: str, count: int) -> list[dict[str, Any]]:
    """The attempts of a call, once so many are settled."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        with contextlib.suppress(AssertionError):  # It is not booked yet.
            found[:] = shown(running, request)["attempts"]
        return len([one for one in found if one["status"] != "open"]) >= count

    until(there, f"{request} has {found}")
    return found


def test_a_session_stays_with_its_arm_and_the_ledger_names_it(
    running: Exchange, key: str, vendor: Upstream, other: Upstream, customer: str
) -> None:
    body = HELLO | {"model": "split", "user": customer}
    for session in range(12):
        answers = [ask(running.port, key, body, headers={"x-trunkline-session": f"s{session}"}) for _ in range(2)]
        assert len({one.headers["x-trunkline-deployment"] for one in answers}) == 1
        assert "x-trunkline-substitute" not in answers[0].headers
    rows = running.attempts_of(customer, 24)
    arms = {(row["deployment"], row["trial"]) for row in rows}
    assert arms == {
        ("gpt", "split try-new: openai/gpt-4.1-mini"),
        ("new", "split try-new: mistral/mistral-large"),
    }
    report = [row for row in running.rows("trials", "split") if row["kind"] == "split"]
    assert {row["arm"] for row in report} == {"openai/gpt-4.1-mini", "mistral/mistral-large"}
    assert sum(row["calls"] for row in report) == 24
    assert all(row["latency_ms_p95"] >= row["latency_ms_p50"] > 0 for row in report)


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_goes_to_the_shadow_and_is_its_owners(
    running: Exchange, key: str, vendor: Upstream, other: Upstream, stream: bool
) -> None:
    got = ask(running.port, key, HELLO | {"model": "copied", "stream": stream})
    assert (got.status, got.headers["x-trunkline-deployment"]) == (200, "gpt")
    assert got.text == (Script().text if stream else "")
    first, copy = attempts(running, got.headers["x-trunkline-request-id"], 2)
    assert (first["trial"], first["unit"]) == (None, "marketing")
    assert (copy["trial"], copy["unit"], copy["deployment"], copy["status"]) == ("shadow to-new", "acme", "new", "ok")
    assert (copy["attempt"], copy["key"], copy["end_customer"]) == (2, "shadow", None)
    assert (copy["tokens_output"], copy["cost"]) == (first["tokens_output"], first["cost"])
    call = shown(running, got.headers["x-trunkline-request-id"])
    assert (call["status"], call["unit"], call["cost"]) == ("ok", "marketing", first["cost"])
    arms = {row["arm"]: row for row in running.rows("trials", "copied")}
    assert arms["copy"]["calls"] == arms["original"]["calls"]
    assert arms["copy"]["first_byte_ms_p50"] > 0


def test_a_shadow_that_hangs_or_breaks_holds_up_nobody_and_is_bounded(
    running: Exchange, key: str, vendor: Upstream, other: Upstream
) -> None:
    other.default = scripts.HANG_BEFORE_HEAD
    dropped = events(running, "not_copied")
    body = HELLO | {"model": "slow"}
    answers = [ask(running.port, key, body) for _ in range(6)]
    assert [one.status for one in answers] == [200] * 6
    until(lambda: events(running, "not_copied") == dropped + 5, "further copies are not left out")
    assert len(other.received) == 1
    other.default = scripts.SERVER_ERROR
    assert ask(running.port, key, HELLO | {"model": "copied"}).status == 200


def test_no_copy_reaches_a_deployment_that_the_class_does_not_allow(
    running: Exchange, key: str, vendor: Upstream, other: Upstream
) -> None:
    assert ask(running.port, key, HELLO | {"model": "barred"}).status == 200
    got = ask(running.port, key, HELLO | {"model": "copied"})
    attempts(running, got.headers["x-trunkline-request-id"], 2)
    assert not any(b"trains" in received.body for received in other.received)


def test_an_owner_without_money_has_no_copies_and_its_callers_never_know(
    running: Exchange, key: str, vendor: Upstream, other: Upstream
) -> None:
    dropped = events(running, "not_copied")
    assert ask(running.port, key, HELLO | {"model": "poor"}).status == 200
    until(lambda: events(running, "not_copied") == dropped + 1, "the copy is not left out")
    assert not other.received
