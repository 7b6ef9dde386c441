"""`kill -9` under load: what an upstream saw is in the ledger exactly once after a restart."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.path.raw import HELLO, ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Received, Upstream, in_thread

CALLERS = 8
SLOW = Script(pace=0.005)


@pytest.fixture
def vendor() -> Iterator[Upstream]:
    with in_thread() as upstream:
        # Half of the answers take a while, so that a kill always finds some in the middle.
        upstream.choose = lambda received: SLOW if received.number % 2 else None
        yield upstream


def customer_of(received: Received) -> str:
    customer: str = json.loads(received.body)["user"]
    return customer


class Load:
    """Callers that ask without a pause until the exchange is gone. Each request has an end customer of its own."""

    def __init__(self, running: Exchange, key: str, name: str) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self._threads = [
            threading.Thread(target=self._call, args=(running.port, key, f"{name}-{caller}"))
            for caller in range(CALLERS)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(30)

    def _call(self, port: int, key: str, name: str) -> None:
        number = 0
        while True:
            customer = f"{name}-{number}"
            self.asked.append(customer)
            try:
                got = ask(port, key, HELLO | {"user": customer, "stream": number % 3 == 0})
            except (OSError, http.client.HTTPException):
                return
            if not got.whole:
                return
            assert got.status == 200, got
            self.answered.append(customer)
            number += 1


def hold_against(rows: list[dict[str, Any]], seen: Counter[str], answered: set[str]) -> None:
    """Hold the ledger against what the upstream saw and what the callers got."""
    booked = Counter(row["end_customer"] for row in rows)
    missing = {customer: count for customer, count in seen.items() if booked[customer] != count}
    assert not missing, f"the upstream saw these so often, the ledger has them otherwise: {missing}"
    assert len({(row["request_id"], row["attempt"]) for row in rows}) == len(rows)
    assert not [row for row in rows if row["status"] == "open"]
    for row in rows:
        if row["status"] == "ok":
            assert (row["tokens_input"], row["tokens_output"], row["estimated"]) == (7, 5, False)
        else:
            assert row["status"] in {"lost", "left", "broken"}, row
            assert row["estimated"], row
        if row["status"] == "lost":
            assert row["cost"] == row["hold"] > 0
        if row["end_customer"] not in seen:
            assert row["status"] == "lost", f"never sent, yet not booked at its hold: {row}"
    lost_answers = answered - {row["end_customer"] for row in rows if row["status"] in {"ok", "lost"}}
    assert not lost_answers


def kill_in_rounds(folder: Path, vendor: Upstream, rounds: int) -> None:
    declared = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})
    dice = random.Random(rounds)  # noqa: S311  when to kill, the same in every run
    answered: set[str] = set()
    key = ""
    for number in range(rounds):
        running = start(folder, declared)
        try:
            key = key or running.key("finance")
            before = len(vendor.received)
            with Load(running, key, f"round-{number}") as load:
                assert vendor.wait_for(before + dice.randint(20, 200), 30)
                running.kill()
            answered.update(load.answered)
        finally:
            stop(running)
    assert all(received.over.wait(10) for received in vendor.received)
    running = start(folder, declared)
    try:
        rows = running.rows("ledger", "tail", "--count", "100000")
        sums = running.rows("ledger", "sum", "--by", "deployment")
    finally:
        stop(running)
    hold_against(rows, Counter(map(customer_of, vendor.received)), answered)
    assert sum(row["attempts"] for row in sums) == len(rows)
    assert [row for row in rows if row["status"] == "lost"], "no kill found an attempt in the middle: no test"


def test_after_three_kills_every_attempt_the_upstream_saw_is_there_once(tmp_path: Path, vendor: Upstream) -> None:
    kill_in_rounds(tmp_path, vendor, 3)


@pytest.mark.slow
def test_after_twenty_kills_every_attempt_the_upstream_saw_is_there_once(tmp_path: Path, vendor: Upstream) -> None:
    kill_in_rounds(tmp_path, vendor, 20)


def test_a_quiet_end_loses_nothing_and_books_nothing_at_its_hold(tmp_path: Path, vendor: Upstream) -> None:
    declared = estate({"gpt": deployment(vendor.url)}, {"chat": [["gpt"]]})
    running = start(tmp_path, declared)
    try:
        key = running.key("finance")
        for number in range(10):
            assert ask(running.port, key, HELLO | {"user": f"quiet-{number}"}).status == 200
    finally:
        stop(running)
    assert running.process.returncode == 0
    rows = running.rows("ledger", "tail", "--count", "1000")
    assert Counter(row["end_customer"] for row in rows) == Counter(map(customer_of, vendor.received))
    assert {row["status"] for row in rows} == {"ok"}
