"""The fault bench: a live exchange with two workers, a failover set, and calls whose upstreams do as scenarios say.

What must hold for every call, whatever happens: it is answered whole, or fails with words that say so; it is charged
what was produced or its hold, never twice and never nothing; nothing ever reaches a deployment that policy refuses; a
hard budget is never exceeded. And once all are over, nothing is left: no call, no attempt, no open record, no
descriptor, task or byte more than before. When the exchange has stopped, nothing of a budget is held or frozen.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import astuple
from tests.faults.injector import ADDRESSES, MODES, misbehaving
from tests.faults.insight import Inner, Insight
from tests.faults.scenarios import SET, TEXT, THRIFTY, Scenario, draw
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import Answer, ask
from tests.upstreams.scripted import Received, Upstream, in_thread

TIMES = {"connect": 1, "first_byte": 0.8, "between": 0.8, "total": 6}
AT_ONCE = 4
LONGEST = 14.0
"""Seconds: four deployments that each use up their time, a second round, and a busy machine."""
REST = 0.5
"""Seconds without any call after which what a worker has is what it needs."""
NEVER = {"failures": 1_000_000, "share": 1}
HONEST = {429, 502, 503, 504}
CUSTOMER = re.compile(rb'"user":\s*"scenario-(\d+)"')


class Bench:
    """A running exchange and the failover set behind it."""

    def __init__(
        self, running: Exchange, insight: Insight, key: str, members: dict[str, Upstream], forbidden: Upstream
    ) -> None:
        self.running = running
        self.key = key
        self.members = members
        self.forbidden = forbidden
        self.insight = insight
        self.scenarios: dict[int, Scenario] = {}

    def play(self, seeds: range) -> list[str]:
        """Play the scenarios of these seeds, some at once; return what did not hold, a line each."""
        self.scenarios = {seed: draw(seed, FRONTS) for seed in seeds}
        for name, upstream in self.members.items():
            upstream.choose = lambda received, name=name: self._script(name, received)  # type: ignore[misc]
        before = self._at_rest()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            broken = [line for lines in pool.map(self._call, self.scenarios.values()) for line in lines]
        return broken + self._settled() + self._nothing_left() + self._nothing_leaked(before)

    def _at_rest(self) -> dict[int, Inner]:
        """What each worker has once it has answered some calls, and answers none."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            body = {"model": "raw-plain", "messages": [{"role": "user", "content": "hi"}]}
            list(pool.map(lambda _: ask(self.running.port, self.key, body), range(20)))
        self._nothing_left()
        time.sleep(REST)
        return self._look()

    def _look(self) -> dict[int, Inner]:
        return self.insight.look(self.running, {one.port for one in (*self.members.values(), self.forbidden)})

    def _script(self, member: str, received: Received) -> Any:
        found = CUSTOMER.search(received.body)
        return None if found is None else self.scenarios[int(found[1])].script(member)

    def _call(self, scenario: Scenario) -> list[str]:
        body = {
            "model": scenario.use_case,
            "messages": [{"role": "user", "content": "hi"}],
            "user": scenario.customer,
            "stream": scenario.stream,
        }
        began = time.monotonic()
        if scenario.leaves is not None:
            self._leave(body, scenario.leaves)
            return []
        try:
            got = ask(self.running.port, self.key, body)
        except (OSError, http.client.HTTPException, TimeoutError) as fault:
            return [f"{scenario}: not answered: {type(fault).__name__}: {fault}"]
        took = time.monotonic() - began
        said = self._judge(scenario, got)
        if took > LONGEST:
            said.append(f"it took {took:.1f} s")
        return [f"{scenario}: {one}" for one in said]

    def _leave(self, body: dict[str, Any], after: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            head = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            connection.sock = None
            connection.timeout = 0.5
            connection.request("POST", "/v1/chat/completions", json.dumps(body), head)
            with connection.getresponse() as answer:
                answer.read(after)

    def _judge(self, scenario: Scenario, got: Answer) -> list[str]:
        if not got.whole:
            return ["the answer was cut"]
        if got.status != 200:
            if got.status not in HONEST or got.error is None or not got.error.get("message"):
                return [f"status {got.status} with {got.body[:200]!r}"]
            return ["it failed, though a deployment would have answered"] if scenario.must_succeed else []
        text = "".join(TEXT)
        if not scenario.stream:
            said = got.json["choices"][0]["message"]["content"]
            return [] if said == text else [f"it was answered {said!r}"]
        if got.error is not None:
            honest = text.startswith(got.text) and "[DONE]" not in got.data
            return [] if honest and not scenario.must_succeed else [f"an error event after {got.text!r}"]
        return [] if got.text == text and got.data[-1] == "[DONE]" else [f"taken for whole: {got.text!r}"]

    def _settled(self) -> list[str]:
        """Hold the ledger against what the upstreams saw."""
        rows: dict[str, list[dict[str, Any]]] = {}
        seen = {(name, number) for name, one in self.members.items() for number in range(len(one.received))}
        until = time.monotonic() + 20
        while True:
            rows.clear()
            for row in self.running.rows("ledger", "tail", "--count", "100000"):
                rows.setdefault(row["end_customer"], []).append(row)
            open_rows = [row for each in rows.values() for row in each if row["status"] == "open"]
            if not open_rows or time.monotonic() > until:
                break
        said = [f"still open: {row['end_customer']} at {row['deployment']}" for row in open_rows]
        for scenario in self.scenarios.values():
            said += [f"{scenario}: {one}" for one in self._charged(scenario, rows.get(scenario.customer, []))]
        if self.forbidden.received:
            said.append(f"policy was crossed {len(self.forbidden.received)} times, of {len(seen)} calls")
        thrifty = [row for each in rows.values() for row in each if row["use_case"] == f"raw-{THRIFTY}"]
        spent = sum(Decimal(str(row["cost"])) for row in thrifty)
        if spent > Decimal(AMOUNT):
            said.append(f"{spent} were spent of a hard budget of {AMOUNT}")
        return said

    def _charged(self, scenario: Scenario, rows: list[dict[str, Any]]) -> Iterator[str]:
        for row in rows:
            cost, hold = Decimal(str(row["cost"])), Decimal(str(row["hold"]))
            if cost > hold:
                yield f"charged {cost} above its hold {hold} at {row['deployment']}"
            tokens = Decimal(row["tokens_input"] + 2 * row["tokens_output"]) / 1_000_000
            if cost != tokens:
                yield f"charged {cost} for {tokens} worth of tokens at {row['deployment']}"
            if row["status"] == "ok" and not row["estimated"]:
                counted = (row["tokens_input"], row["tokens_output"])
                if counted != (7, len(TEXT)):
                    yield f"charged {counted} tokens at {row['deployment']}"
            if row["status"] in {"broken", "left"} and not cost:
                yield f"nothing charged for what was produced at {row['deployment']}"
        ok = [row for row in rows if row["status"] == "ok"]
        if len(ok) > 1:
            yield f"{len(ok)} whole answers for one call"
        for name, upstream in self.members.items():
            asked = sum(self._is_of(received, scenario) for received in upstream.received)
            recorded = sum(row["deployment"].endswith(f"-{name}") for row in rows)
            if asked > recorded:
                yield f"{name} was asked {asked} times, and {recorded} are recorded"

    def _is_of(self, received: Received, scenario: Scenario) -> bool:
        found = CUSTOMER.search(received.body)
        return found is not None and int(found[1]) == scenario.seed

    def _nothing_left(self) -> list[str]:
        """What the exchange still counts as under way once all calls are over."""
        until = time.monotonic() + 10
        while True:
            text = self.running.get("/metrics")[1]
            left = [
                line
                for line in text.splitlines()
                if line.startswith(("trunkline_in_flight ", "trunkline_upstream_outstanding", "trunkline_journal_lag"))
                and not line.endswith(" 0.0")
            ]
            if not left or time.monotonic() > until:
                return left

    def _nothing_leaked(self, before: dict[int, Inner]) -> list[str]:
        """Wait until each worker has no more of anything than at rest before."""
        until = time.monotonic() + 10
        while True:
            now = self._look()
            if now.keys() != before.keys():
                return [f"workers {[*before]} were replaced by {[*now]}"]
            more = [
                f"worker {pid} has {there} and had {before[pid]}"
                for pid, there in now.items()
                if any(now > then for now, then in zip(astuple(there), astuple(before[pid]), strict=True))
            ]
            if not more or time.monotonic() > until:
                return more
            time.sleep(REST / 10)


FRONTS = (*MODES, *ADDRESSES)
SMALL = {"on": {"use_case": f"raw-{THRIFTY}"}, "from": "2020-01-01", "until": "2099-12-31", "hard": True}
AMOUNT = "0.0004"
"""What the small budget allows: some calls, and the holds of a few at once."""


def declared(members: dict[str, Upstream], forbidden: Upstream, urls: dict[str, str]) -> dict[str, Any]:
    """Return the estate: each front before the set, with breakers and without, and one that policy refuses between."""
    deployments: dict[str, dict[str, Any]] = {
        "forbidden": deployment(forbidden.url, controls={}, boundary="elsewhere", timeouts=TIMES)
    }
    use_cases: dict[str, list[list[str]]] = {}
    for kind, more in (("raw", {"tolerance": NEVER}), ("guarded", {"tolerance": {"failures": 3, "wait": 1}})):
        for name in SET:
            deployments[f"{kind}-{name}"] = deployment(members[name].url, timeouts=TIMES, retries=1, **more)
        for front in FRONTS:
            deployments[f"{kind}-{front}"] = deployment(urls[front], timeouts=TIMES, retries=1, **more)
        for front in ("plain", THRIFTY, *FRONTS):
            first = [[f"{kind}-{front}"]] if front in FRONTS else []
            use_cases[f"{kind}-{front}"] = [*first, ["forbidden"], [f"{kind}-a"], [f"{kind}-b"], [f"{kind}-c"]]
    made = estate(deployments, use_cases)
    made["boundaries"]["elsewhere"] = {"provider": "nobody", "account": "x", "owner": "acme"}
    made["budgets"] = [
        SMALL | {"amount": float(AMOUNT)},
        {"on": {"unit": "acme"}, "per": "month", "amount": 1_000, "hard": True},
    ]
    made["use_cases"][f"raw-{THRIFTY}"]["parameters"] = {"max_output_tokens": 2 * len(TEXT)}
    return made


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Run one: two workers, three members, every front."""
    with contextlib.ExitStack() as stack:
        members = {name: stack.enter_context(in_thread()) for name in SET}
        forbidden = stack.enter_context(in_thread())
        urls = stack.enter_context(misbehaving())
        made = declared(members, forbidden, urls)
        insight = Insight(folder / "insight")
        seen = exchange(
            folder, made, "--no-engine", "--workers", "2", PYTHONPATH=insight.path, FAULTS_FOLDER=str(insight.folder)
        )
        running = stack.enter_context(seen)
        yield Bench(running, insight, running.key("finance"), members, forbidden)


def left_in_store(running: Exchange) -> list[str]:
    """Return what does not hold in the store of an exchange that has stopped: nothing is leased, and all sums agree."""
    said = [f"budget {row['budget']}: {row}" for row in running.rows("budget", "list") if row["held"] or row["frozen"]]
    try:
        running.command("ledger", "verify")
    except AssertionError as differs:
        said.append(str(differs))
    return said


def survived(broken: list[str], total: int) -> str:
    """Say how many of the scenarios held."""
    failed = {found[1] for line in broken if (found := re.search(r"seed=(\d+)", line))}
    return f"fault bench: {total - len(failed)} of {total} scenarios survived"
