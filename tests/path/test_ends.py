"""However a call ends, the ledger has the right lines for it, the budget the right sum, and nothing stays held."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, free_port
from tests.path.raw import ask
from tests.path.test_budgets import budget, leave
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

from trunkline.metering.lines import Kind
from trunkline.metering.ports import Span
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store, open_store

INPUT, OUTPUT = 1_000, 2_000
"""Billionths that a token costs."""

LIMIT = 100
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": LIMIT}
NOTHING = (0, 0)
TIMES = {"connect": 1, "first_byte": 1, "between": 1, "total": 20}


@dataclass(frozen=True)
class End:
    """How a call ends, and what must stand in the ledger.

    `usage` is what is paid for: exact tokens, None for the whole hold, `counted` for what was counted of the answer.
    """

    script: Script
    answer: int
    status: str
    usage: tuple[int, int] | str | None
    http_status: int = 200
    estimated: bool = False
    reachable: bool = True


def plain(*pieces: str, **more: Any) -> Script:
    return Script(pieces=pieces or ("The ",) * 50, **more)


HALF = b'data: {"choices": [{"index": 0, "delta": {"content": "The answer is "}, "finish_reason": null}]}\n\n'
ANSWERED = End(plain(), 200, "ok", (7, 50))
NO_USAGE = End(plain(usage="none"), 200, "ok", "counted", estimated=True)
ENDS: dict[str, tuple[End, End]] = {
    # Each as a whole answer, and as a stream.
    "answered": (ANSWERED, ANSWERED),
    "no usage": (NO_USAGE, NO_USAGE),
    "malformed usage": (
        End(plain(usage="none", extra={"usage": "many"}), 200, "ok", "counted", estimated=True),
        End(plain(usage="none", extra={"usage": "many"}), 200, "ok", "counted", estimated=True),
    ),
    "usage below nothing": (
        End(plain(usage="none", extra={"usage": {"prompt_tokens": -5}}), 200, "ok", "counted", estimated=True),
        End(plain(usage="none", extra={"usage": {"prompt_tokens": -5}}), 200, "ok", "counted", estimated=True),
    ),
    "more than asked for": (
        End(plain(*("The ",) * 900), 200, "ok", (7, 900)),
        End(plain(*("The ",) * 900), 200, "ok", (7, 900)),
    ),
    "refused with 400": (
        End(plain(status=400), 400, "rejected", NOTHING, 400),
        End(plain(status=400), 400, "rejected", NOTHING, 400),
    ),
    "refused with 429": (
        End(plain(status=429), 429, "failed", NOTHING, 429),
        End(plain(status=429), 429, "failed", NOTHING, 429),
    ),
    "failed with 500": (
        End(plain(status=500), 502, "failed", NOTHING, 500),
        End(plain(status=500), 502, "failed", NOTHING, 500),
    ),
    "not there": (
        End(plain(), 502, "failed", NOTHING, 0, reachable=False),
        End(plain(), 502, "failed", NOTHING, 0, reachable=False),
    ),
    "dropped": (
        End(plain(drop=True), 502, "failed", None, 0, estimated=True),
        End(plain(drop=True), 502, "failed", None, 0, estimated=True),
    ),
    "too slow to begin": (
        End(plain(hang="head"), 504, "failed", None, 0, estimated=True),
        End(plain(hang="head"), 504, "failed", None, 0, estimated=True),
    ),
    "too slow to go on": (
        End(plain(hang="body"), 504, "failed", None, 0, estimated=True),
        End(plain(hang="body", hang_after=20), 200, "broken", "counted", estimated=True),
    ),
    "cut": (
        End(plain(cut=20), 502, "failed", None, 0, estimated=True),
        End(plain(cut=2_000), 200, "broken", "counted", estimated=True),
    ),
    "an error event": (
        ANSWERED,  # A whole answer has no events.
        End(plain(error_after=20, pace=0.01), 200, "broken", "counted", estimated=True),
    ),
    "an error of status 200": (
        End(Script(body=b'{"error": {"message": "boom", "code": 500}}'), 502, "failed", NOTHING, 200),
        End(Script(body=b'data: {"error": {"message": "boom"}}\n\ndata: [DONE]\n\n'), 502, "failed", NOTHING, 200),
    ),
    "an error of older servers": (
        End(Script(body=b'{"object": "error", "message": "boom", "code": 400}'), 502, "failed", NOTHING, 200),
        End(
            Script(body=b'data: {"object": "error", "message": "boom"}\n\ndata: [DONE]\n\n'),
            502,
            "failed",
            NOTHING,
            200,
        ),
    ),
    "no answer in it": (
        End(Script(body=b"[]"), 502, "failed", None, 0, estimated=True),
        End(Script(body=HALF), 200, "broken", "counted", estimated=True),
    ),
}
CASES = [(name, stream) for name in ENDS for stream in (False, True)]


def place(name: str, *, stream: bool) -> str:
    return f"{name.replace(' ', '-')}-{'stream' if stream else 'whole'}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    away = f"http://127.0.0.1:{free_port()}"
    deployments = {
        place(name, stream=stream): deployment(
            vendor_of_module.url if ENDS[name][stream].reachable else away, timeouts=TIMES
        )
        for name, stream in CASES
    }
    deployments["left"] = deployment(vendor_of_module.url)
    budgets = [budget(1, "month", unit="acme"), budget(1, "month", unit="finance")]
    made = estate(deployments, {name: [[name]] for name in deployments}, budgets=budgets)
    with exchange(tmp_path_factory.mktemp("ends"), made) as started:
        yield started


@pytest.fixture(scope="module")
def books(running: Exchange) -> Iterator[Store]:
    with open_store(DataFolder(running.folder).store_path) as store:
        yield store


def check_lines(books: Store, row: dict[str, Any], cost: int) -> None:
    """Hold an attempt's lines against what it cost. A hold has lines only where it was booked before its end."""
    hold = round(row["hold"] * 1e9)
    assert round(row["cost"] * 1e9) == cost
    lines = books.lines(row["request_id"])
    moved = {line.kind: line.amount for line in lines}
    assert len(moved) == len(lines)
    held = {Kind.HOLD: hold, Kind.RELEASE: hold} if Kind.HOLD in moved else {}
    overrun = {Kind.OVERRUN: cost - hold} if cost > hold else {}
    assert moved == {**held, Kind.SETTLE: min(cost, hold), **overrun}
    for line in lines:
        owing = line.kind in {Kind.SETTLE, Kind.OVERRUN}
        accounts = ("cost:CC-1200/finance", "owed:vendor") if owing else ("held:CC-1200/finance", "reserved:vendor")
        debit_credit = accounts if line.kind is not Kind.RELEASE else accounts[::-1]
        assert (line.debit, line.credit) == debit_credit
        assert line.price_version


@pytest.mark.parametrize(("name", "stream"), CASES, ids=[place(name, stream=stream) for name, stream in CASES])
def test_each_end_has_its_lines(
    running: Exchange, books: Store, key: str, vendor: Upstream, name: str, stream: bool
) -> None:
    end, model = ENDS[name][stream], place(name, stream=stream)
    vendor.default = end.script
    asker = f"{model}-{secrets.token_hex(4)}"
    got = ask(running.port, key, ASKED | {"model": model, "stream": stream, "user": asker})
    assert got.status == end.answer
    if end.status == "broken":
        assert got.error is not None
        assert "[DONE]" not in got.data
    (row,) = running.attempts_of(asker, 1)
    assert (row["status"], row["http_status"], row["estimated"]) == (end.status, end.http_status, end.estimated)
    match end.usage:
        case None:
            cost = round(row["hold"] * 1e9)
        case "counted":
            cost = row["tokens_input"] * INPUT + row["tokens_output"] * OUTPUT
            assert row["tokens_input"] >= 7
            assert 0 < row["tokens_output"] <= LIMIT
        case (int() as read, int() as written):
            assert (row["tokens_input"], row["tokens_output"]) == (read, written)
            cost = read * INPUT + written * OUTPUT
    check_lines(books, row, cost)


def test_a_client_that_leaves_has_lines_for_what_was_made_until_then(
    running: Exchange, books: Store, key: str, vendor: Upstream
) -> None:
    vendor.default = plain(pace=0.2)
    asker = f"left-{secrets.token_hex(4)}"
    leave(running.port, key, ASKED | {"model": "left", "stream": True, "user": asker})
    (row,) = running.attempts_of(asker, 1)
    assert (row["status"], row["estimated"]) == ("left", True)
    check_lines(books, row, row["tokens_input"] * INPUT + row["tokens_output"] * OUTPUT)


def test_after_all_of_them_the_budgets_have_what_the_lines_say_and_nothing_is_held(
    running: Exchange, books: Store, key: str, vendor: Upstream
) -> None:
    vendor.default = plain()
    assert ask(running.port, key, ASKED | {"model": place("answered", stream=False)}).status == 200
    until = time.monotonic() + 20
    while (stand := books.standings())[0].allowance.leased or stand[1].allowance.leased:
        assert time.monotonic() < until, stand
        time.sleep(0.1)
    (total,) = books.sums(["unit"], Span())
    assert {one.allowance.settled for one in stand} == {total.cost}
    assert books.verify().differences == ()
