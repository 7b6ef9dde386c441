"""Hard budgets through the whole product: nothing beyond them is ever produced, and refusals say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec
import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, start, write
from tests.path.raw import ask
from tests.path.test_workers import workers
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

HELLO: Any = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
COST = Decimal("0.000157")
"""What one answer of a hundred tokens costs at 1 and 2 per million: 7 and 75 tokens."""

ANSWER = Script(pieces=("The ",) * 75)
CALLS = 200
BROKEN = 5
"""After so many connections that broke, a caller takes the exchange for gone."""


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


@pytest.mark.parametrize("count", ["1", "4"])
async def test_a_budget_is_used_up_to_the_last_call_and_never_beyond(
    vendor: Upstream, tmp_path: Path, count: str
) -> None:
    vendor.reset()
    vendor.default = ANSWER
    limit = COST * CALLS
    made = declared(vendor, budget(limit, unit="marketing"))
    with exchange(tmp_path, made, "--no-engine", "--workers", count) as running:
        key = running.key("marketing")
        answered, refused = await burst(running, key, 16, CALLS)
        assert len(refused) == 16
        assert {error.code for error in refused} == {"insufficient_quota"}
        assert len(vendor.received) == answered <= CALLS
        most = 2 * COST  # no more than one call may cost
        assert answered * COST > limit - int(count) * most
        running.await_booked()
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
                "has too little left for this call",
                "0.0001 are left",
                "`max_tokens`",
                "The budget begins anew on 20",
                "Europe/Berlin",
                'For more, ask unit "acme".',
            ):
                assert part in said
        with openai.OpenAI(api_key=running.key("finance"), base_url=running.url) as client:
            assert client.chat.completions.create(**HELLO).choices
        assert len(vendor.received) == 1


def test_how_budgets_stand_is_listed_measured_and_warned_of_and_a_raise_lets_calls_through(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.reset()
    vendor.default = ANSWER
    made = declared(
        vendor,
        budget("0.0004", "day", unit="marketing"),
        {"on": {"unit": "acme"}, "per": "month", "amount": 0.001, "warn_at": [0.1, 0.5]},
    )
    with exchange(tmp_path, made) as running:
        key = running.key("marketing")
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as client:
            client.chat.completions.create(**HELLO)
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(**HELLO)
            until(lambda: stands(running, "unit:acme/month")["spent"] == 0.000157, "the call is not booked")
            row = stands(running, "unit:marketing/day")
            assert (row["limit"], row["spent"], row["kind"]) == (0.0004, 0.000157, "hard")
            asked = ("--by", "0.001", "--until", "1d", "--reason", "a campaign", "--approver", "the CFO")
            running.command("budget", "raise", "unit:marketing/day", *asked)
            assert stands(running, "unit:marketing/day")["limit"] == 0.0014
            until(lambda: succeeds(client), "the raise is not in force")
        assert "the CFO: a campaign" in running.command("budget", "show", "unit:marketing/day")
        (line,) = running.rows("ledger", "lines", "unit:marketing/day")
        assert (line["kind"], line["by"]) == ("transfer", "the CFO")
        settled = 'trunkline_budget{budget="unit:acme/month/EUR",what="settled"} 0.000314'
        until(lambda: settled in running.get("/metrics")[1], "the metrics do not show it")
        log = (tmp_path / "up.log").read_text()
        assert log.count("a budget has passed a threshold") == 1
        assert '"threshold":"0.0001"' in log


def succeeds(client: openai.OpenAI) -> bool:
    try:
        client.chat.completions.create(**HELLO)
    except openai.RateLimitError:
        return False
    return True


def until(holds: Callable[[], bool], otherwise: str | Callable[[], str], seconds: float = 15) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.1)


def use_up(running: Exchange, key: str, budget: str, but: Decimal) -> None:
    """Have callers use a budget up but for less than so much: what the dead held comes back once it is read."""
    load = Load(running.port, key, 8)

    def used_up() -> bool:
        nonlocal load
        with Load(running.port, key, 8) as load:
            pass
        row = stands(running, budget)
        return Decimal(str(row["limit"])) - Decimal(str(row["spent"])) < but

    until(used_up, lambda: f"{stands(running, budget)}; callers ended with {load.ends}", 60)


def stands(running: Exchange, name: str) -> dict[str, Any]:
    (found,) = [row for row in running.rows("budget", "list") if row["budget"] == name]
    return found


def leave(port: int, key: str, body: dict[str, Any]) -> None:
    """Hang up as soon as the answer has begun."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    with connection.getresponse() as answer:
        answer.read(1)
        connection.close()


EXITS = {
    "answered": Script(pieces=("The ",) * 50),
    "without usage": Script(usage="none"),
    "malformed usage": Script(extra={"usage": "many"}),
    "refused by itself": Script(status=400),
    "too many requests": Script(status=429),
    "broken": Script(status=500),
    "cut": Script(cut=20),
    "dropped": Script(drop=True),
    "too slow": Script(hang="head"),
    "hanging in the middle": Script(hang="body"),
    "more than asked for": Script(pieces=("The ",) * 900),
}


@pytest.mark.parametrize("stream", [False, True])
def test_however_a_call_ends_its_hold_is_released_and_what_it_cost_is_settled(
    vendor: Upstream, tmp_path: Path, stream: bool
) -> None:
    vendor.reset()
    deployments = {f"gpt-{place}": deployment(vendor.url) for place, _ in enumerate(EXITS)}
    cases: dict[str, list[list[str]]] = {f"chat-{place}": [[f"gpt-{place}"]] for place, _ in enumerate(EXITS)}
    budgets = [budget(1, "month", unit="acme"), budget(1, "month", unit="marketing")]
    with exchange(tmp_path, estate(deployments, cases, budgets=budgets)) as running:
        key = running.key("marketing")
        for place, script in enumerate(EXITS.values()):
            vendor.default = script
            ask(running.port, key, HELLO | {"model": f"chat-{place}", "stream": stream})
        vendor.default = Script(pace=0.2)
        leave(running.port, key, HELLO | {"model": "chat-0", "stream": True})
        until(lambda: len(running.rows("ledger", "tail")) == len(EXITS) + 1, "not every call is booked")
        rows = running.rows("ledger", "tail")
        cost = sum(Decimal(str(row["cost"])) for row in rows)
        assert {row["status"] for row in rows} >= {"ok", "rejected", "failed", "left"}

        def balanced() -> bool:
            return all(
                Decimal(str(stands(running, name)["spent"])) == cost
                for name in ("unit:acme/month", "unit:marketing/month")
            )

        until(balanced, "what was spent is not what the calls cost")
        assert "billed more than its call could use" in (tmp_path / "up.log").read_text()
        until(lambda: stands(running, "unit:acme/month")["held"] == 0, "something is still held")


def test_killed_in_the_middle_of_a_burst_nothing_is_overshot_and_after_the_restart_nothing_is_held(
    vendor: Upstream, tmp_path: Path
) -> None:
    vendor.reset()
    vendor.default = msgspec.structs.replace(ANSWER, delay=0.01)
    limit = COST * CALLS
    made = declared(vendor, budget(limit, unit="marketing"))
    running = start(tmp_path, made, "--no-engine", "--workers", "2")
    key = running.key("marketing")
    with Load(running.port, key, 8):
        assert vendor.wait_for(CALLS // 4)
        running.kill()
    with exchange(tmp_path, made) as again:
        assert again.rows("ledger", "resolve") == []
        until(lambda: stands(again, "unit:marketing/month")["held"] == 0, "the dead still hold something")
        with Load(again.port, key, 8):
            pass
        spent = Decimal(str(stands(again, "unit:marketing/month")["spent"]))
        assert len(vendor.received) * COST <= limit
        assert spent <= limit
        until(lambda: stands(again, "unit:marketing/month")["held"] == 0, "something is still held")
        left = limit - Decimal(str(stands(again, "unit:marketing/month")["spent"]))
        assert left < 2 * COST  # no more than one call may cost


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 200))])
def test_whichever_workers_are_killed_in_a_burst_nothing_is_overshot_and_the_rest_can_be_used(
    vendor: Upstream, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same kills for the same seed
    vendor.reset()
    vendor.default = msgspec.structs.replace(ANSWER, delay=0.01)
    limit = COST * CALLS
    made = declared(vendor, budget(limit, unit="marketing"), budget(10 * limit, "day", unit="acme"))
    with exchange(tmp_path, made, "--no-engine", "--workers", "4") as running:
        key = running.key("marketing")
        with Load(running.port, key, 24):
            for _ in range(chance.randint(1, 4)):
                vendor.wait_for(chance.randrange(CALLS), 2)
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(chance.choice(workers(running)), signal.SIGKILL)
        assert len(vendor.received) <= CALLS
        until(lambda: len(workers(running)) == 4, "a worker was not replaced")
        until(lambda: running.rows("ledger", "resolve") == [], "something is frozen though every journal was read")
        use_up(running, key, "unit:marketing/month", 4 * 2 * COST)  # for each worker no more than one call may cost
        assert len(vendor.received) <= CALLS
        until(lambda: stands(running, "unit:marketing/month")["held"] == 0, "something is still held")
        assert Decimal(str(stands(running, "unit:marketing/month")["spent"])) <= limit


@pytest.mark.parametrize("count", ["1", "2"])
async def test_all_keys_of_a_person_draw_on_one_budget_and_other_keys_pass_it_by(
    vendor: Upstream, tmp_path: Path, count: str
) -> None:
    vendor.reset()
    vendor.default = ANSWER
    limit = COST * 40
    made = declared(vendor, budget(limit, person="ada@acme.example"), budget(COST, person="bob@acme.example"))
    with exchange(tmp_path, made, "--no-engine", "--workers", count) as running:
        hers = [running.key(unit, "--person", "ada@acme.example") for unit in ("marketing", "finance", "marketing")]
        rotated = json.loads(running.command("key", "rotate", running.rows("key", "list")[-1]["id"], "--json"))
        until(lambda: running.get("/v1/models", rotated["key"])[0] == 200, "the new key is not in force")
        bursts = await asyncio.gather(*(burst(running, key, 4, 40) for key in (*hers, rotated["key"])))
        answered = sum(one for one, _ in bursts)
        refused = [error for _, errors in bursts for error in errors]
        assert len(refused) == 16
        assert {error.code for error in refused} == {"insufficient_quota"}
        assert 'person "ada@acme.example"' in refused[0].message
        assert limit - int(count) * 2 * COST < answered * COST <= limit
        assert ask(running.port, running.key("marketing"), HELLO).status == 200
        until(lambda: stands(running, "person:ada@acme.example/month")["held"] == 0, "something is still held")
        running.await_booked()
        sums = {row["person"]: row["calls"] for row in running.rows("ledger", "sum", "--by", "person")}
        assert sums == {"ada@acme.example": answered, None: 1}
        persons = [row["person"] for row in running.rows("key", "list")]
        assert persons.count("ada@acme.example") == 4


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_limit_that_is_lowered_binds_the_next_call(vendor: Upstream, tmp_path: Path, count: str) -> None:
    vendor.reset()
    vendor.default = ANSWER
    with exchange(tmp_path, declared(vendor, budget(1, unit="acme")), "--no-engine", "--workers", count) as running:
        key = running.key("marketing")
        for _ in range(4):
            assert ask(running.port, key, HELLO).status == 200
        write(tmp_path, declared(vendor, budget(2 * COST, unit="acme")))
        running.process.send_signal(signal.SIGHUP)
        until(lambda: 'trunkline_estate_reload_total{result="applied"} 1' in running.get("/metrics")[1], "not reloaded")
        refused = [ask(running.port, key, HELLO) for _ in range(8)]
        assert {(one.status, one.json["error"]["code"]) for one in refused} == {(429, "insufficient_quota")}
        assert f"of {2 * COST:f} EUR" in refused[0].json["error"]["message"]
        assert len(vendor.received) == 4


@pytest.mark.slow
def test_a_stream_that_lasts_longer_than_a_lease_is_held_to_its_end(vendor: Upstream, tmp_path: Path) -> None:
    vendor.reset()
    vendor.default = Script(pieces=("The ",) * 75, pace=2.0)
    times = {"connect": 2, "first_byte": 5, "between": 5, "total": 300}
    made = declared(vendor, budget(1, unit="acme"), timeouts=times)
    with exchange(tmp_path, made) as running:
        asked = HELLO | {"stream": True}
        call = threading.Thread(target=ask, args=(running.port, running.key("marketing"), asked))
        began = time.monotonic()
        call.start()
        until(lambda: stands(running, "unit:acme/month")["held"] > 0, "nothing is held")
        while call.is_alive():
            assert running.rows("ledger", "resolve") == []
            assert stands(running, "unit:acme/month")["held"] > 0 or not call.is_alive()
            call.join(5)
        assert time.monotonic() - began > 140
        until(lambda: stands(running, "unit:acme/month")["spent"] == float(COST), "it is not settled")
        until(lambda: stands(running, "unit:acme/month")["held"] == 0, "something is still held")


class Load:
    """Callers that ask without a pause until each is refused, or the exchange is gone.

    Attributes:
        ends: how each of them ended.
    """

    def __init__(self, port: int, key: str, callers: int) -> None:
        self.ends: list[str] = []
        self._threads = [threading.Thread(target=self._call, args=(port, key)) for _ in range(callers)]

    def _call(self, port: int, key: str) -> None:
        for _ in range(BROKEN):
            with contextlib.suppress(OSError, http.client.HTTPException):
                while (answer := ask(port, key, HELLO)).status == 200:
                    pass
                self.ends.append(f"{answer.status}: {answer.json['error']['message']}")
                return
        self.ends.append("connections broke")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(60)
