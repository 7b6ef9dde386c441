"""Provisioned capacity first, simulated on a trace of real traffic: how much it serves, and what the rest costs.

The router, the health and the turnstile are the product's own, on a clock that jumps from event to event. The provider
is a model: a bucket that fills with what calls use and drains as fast as the units work, and that answers 429 while it
is full. `python bench/provisioned.py TRACE.csv --model openai/gpt-4.1-mini --units 30 40 50`; the trace has the columns
TIMESTAMP, ContextTokens, GeneratedTokens, as those that Azure publishes (Azure Public Dataset, LLM inference traces).
"""

from __future__ import annotations

import argparse
import csv
import heapq
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from trunkline.catalog.units import THROUGHPUTS
from trunkline.clock import NANOS_PER_SECOND
from trunkline.errors import Declined
from trunkline.estate.decisions import Decision
from trunkline.estate.deployments import Pattern
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.estate.unit_prices import UnitPrice
from trunkline.gateway.admit import let_in
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation, Usage
from trunkline.metering.bound import bound
from trunkline.metering.counters import Page
from trunkline.metering.limits import PROVISIONED, Limits, Rate
from trunkline.metering.records import Status
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit
from trunkline.tenancy.callers import Caller
from trunkline.upstream.course import Course
from trunkline.upstream.health import Health, Outcome
from trunkline.upstream.route import route
from trunkline.upstream.waiting import Waiting
from trunkline.wire.origins import Origin, Times

TRACE = "TRUNKLINE_BENCH_TRACE"
"""The variable of the environment that names the trace where no argument does."""
FIRST_BYTE, PER_TOKEN = 0.5, 0.02
"""Seconds until an answer begins, and for each token of it: when units learn what a call has really used."""
SUPPOSED_OUTPUT = 256
"""Tokens of an answer that the provider supposes when it lets a call in."""
PAYG_INPUT, PAYG_OUTPUT = 0.40, 1.60
"""What spilled calls cost per million tokens, in the currency of the price list."""
NAMES = ("reserved", "payg")


class Arrival(msgspec.Struct, frozen=True):
    """A call of the trace: seconds since its beginning, and the tokens of prompt and answer."""

    at: float
    input: int
    output: int

    def work(self, ratio: int) -> int:
        """What it takes of units, in input tokens."""
        return self.input + ratio * self.output


class Units(msgspec.Struct, frozen=True):
    """Reserved units: input tokens per minute, what a token of output counts as, and seconds' worth that fit."""

    per_minute: int
    ratio: int
    depth: float = 60.0

    @property
    def most(self) -> float:
        """What may be in use before calls are refused."""
        return self.per_minute * self.depth / 60


class Served(msgspec.Struct):
    """What became of a trace.

    Attributes:
        reserved: the work that units served, in input tokens; `whole` is that of all calls.
        refused: 429s that the provider answered.
        foreseen: calls that went elsewhere before it would have.
        spilled: what the others cost.
    """

    whole: int = 0
    reserved: int = 0
    calls: int = 0
    calls_reserved: int = 0
    refused: int = 0
    foreseen: int = 0
    spilled: float = 0.0

    @property
    def share(self) -> float:
        """The share of the work that units served."""
        return self.reserved / self.whole if self.whole else 0.0


class Clock:
    """Time as the simulation has it, in nanoseconds."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        """The same as `ticks`."""
        return self.at

    def ticks(self) -> int:
        """Return the time."""
        return self.at


class Provider:
    """The model of a provisioned deployment."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._level = 0.0
        self._at = 0.0

    def enter(self, at: float, prompt: int) -> float | None:
        """Let a call in, or return the seconds after which there is room."""
        self._drain(at)
        over = self._level - self._units.most
        if over >= 0:
            return max(0.001, over * 60 / self._units.per_minute)
        self._level += prompt + self._units.ratio * SUPPOSED_OUTPUT
        return None

    def end(self, at: float, output: int) -> None:
        """Take what a call has really used."""
        self._drain(at)
        self._level = max(0.0, self._level + self._units.ratio * (output - SUPPOSED_OUTPUT))

    def _drain(self, at: float) -> None:
        self._level = max(0.0, self._level - (at - self._at) * self._units.per_minute / 60)
        self._at = at


def read_trace(path: Path) -> list[Arrival]:
    """Read a trace, in order of time."""
    with path.open(newline="") as lines:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), int(row["ContextTokens"]), int(row["GeneratedTokens"]))
            for row in csv.DictReader(lines)
        ]
    begins = min(at for at, _, _ in rows)
    return sorted((Arrival((at - begins).total_seconds(), *tokens) for at, *tokens in rows), key=lambda one: one.at)


def ideal(trace: Sequence[Arrival], units: Units) -> float:
    """The share of the work that no choice made in hindsight can exceed.

    Calls may be cut into pieces here, and the bucket is deeper by the largest call, for the last one that the provider
    lets in may lie above it. So taking all that fits is best, and no rule that keeps calls whole does better.
    """
    if not trace:
        return 0.0
    most = units.most + max(one.work(units.ratio) for one in trace)
    level, at, served, whole = 0.0, 0.0, 0.0, 0
    for one in trace:
        level = max(0.0, level - (one.at - at) * units.per_minute / 60)
        at = one.at
        taken = min(one.work(units.ratio), most - level)
        level += taken
        served += taken
        whole += one.work(units.ratio)
    return served / whole if whole else 0.0


def simulate(trace: Iterable[Arrival], units: Units, *, foresees: bool = True) -> Served:
    """Play a trace against the product's router. `foresees` tells it of the units; else it goes by 429s alone."""
    with tempfile.TemporaryDirectory() as folder:
        page = Page(Path(folder) / "rates", alone=True)
        try:
            return _Simulation(units, page, foresees=foresees).play(trace)
        finally:
            page.close()


class _Simulation:
    def __init__(self, units: Units, page: Page, *, foresees: bool) -> None:
        self._units = units
        self._clock = Clock()
        self._provider = Provider(units)
        self._health = Health(self._clock)
        self._waiting = Waiting(self._health, self._clock)
        self._served = Served()
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        rate = Rate(
            "deployment:reserved/capacity/ptu",
            'the units of deployment "reserved"',
            PROVISIONED,
            units.per_minute,
            provided=True,
            drains=units.per_minute,
            ratio=units.ratio,
        )
        limits = Limits({}, {"reserved": (rate,)} if foresees else {}, {})
        self._turnstile = Turnstile(page, limits, self._clock)
        reserved, payg = (_endpoint(name) for name in NAMES)
        self._decision = Decision("chat", "acme", "internal", ((reserved,), (payg,)))

    def play(self, trace: Iterable[Arrival]) -> Served:
        """Let one call after the other in, and end those whose time has come before it."""
        for one in trace:
            self._end_until(one.at)
            self._clock.at = int(one.at * NANOS_PER_SECOND)
            self._enter(one)
        self._end_until(float("inf"))
        return self._served

    def _end_until(self, at: float) -> None:
        while self._ends and self._ends[0][0] <= at:
            ends, _, settle = heapq.heappop(self._ends)
            self._clock.at = int(ends * NANOS_PER_SECOND)
            settle()

    def _enter(self, one: Arrival) -> None:
        served, work = self._served, one.work(self._units.ratio)
        asked = Asked(Operation.CHAT, "openai", "chat", {}, prompt_bound=4 * one.input)
        course = Course(asked, self._clock)
        visit = Visit(self._turnstile)
        served.calls += 1
        served.whole += work
        for attempt in route(Permitted(_CALLER, asked, self._decision), bound, self._health, course):
            name = attempt.endpoint.deployment
            if not _at_once(let_in(visit, attempt, course, self._waiting)):
                served.foreseen += 1
                continue
            self._health.begin(attempt)
            wait = self._provider.enter(one.at, one.input) if name == "reserved" else None
            if wait is not None:
                self._refuse(attempt, course, wait)
                continue
            if name == "reserved":
                served.reserved += work
                served.calls_reserved += 1
            else:
                served.spilled += (one.input * PAYG_INPUT + one.output * PAYG_OUTPUT) / 1e6
            ends = one.at + FIRST_BYTE + PER_TOKEN * one.output
            heapq.heappush(self._ends, (ends, next(self._numbers), self._settling(attempt, visit, one, ends)))
            return
        raise AssertionError("the deployment without limits takes every call")

    def _refuse(self, attempt: Attempt, course: Course, wait: float) -> None:
        self._served.refused += 1
        fault = Declined("it is full", status=429, retry_after=wait)
        self._health.settle(attempt, Outcome.UNTOLD, None)
        self._health.hear(attempt, fault)
        self._turnstile.found_full(attempt.endpoint.deployment)
        course.failed.append((attempt.endpoint.deployment, fault))

    def _settling(self, attempt: Attempt, visit: Visit, one: Arrival, ends: float) -> Callable[[], None]:
        def settle() -> None:
            if attempt.endpoint.deployment == "reserved":
                self._provider.end(ends, one.output)
            self._health.settle(attempt, Outcome.WELL, int(FIRST_BYTE * NANOS_PER_SECOND))
            visit.hold = cast("Any", _Held(_Settled(Usage(input=one.input, output=one.output))))
            visit.__exit__(None, None, None)

        return settle


class _Settled(msgspec.Struct, frozen=True):
    usage: Usage
    status: Status = Status.OK


class _Held(msgspec.Struct, frozen=True):
    settlement: _Settled


_CALLER = Caller(KeyId("k"), "acme", "CC")


def _endpoint(name: str) -> Endpoint:
    return Endpoint(
        deployment=name,
        pattern=Pattern.CLOUD_PRIVATE if name == "reserved" else Pattern.CLOUD_SHARED,
        boundary="cloud",
        model="openai/gpt",
        upstream_model="gpt",
        dialect="openai",
        origin=Origin("localhost", 80, tls=False),
        base_path="/v1",
        headers=b"",
        price=UnitPrice(),
        times=Times(5, 60, 60, 900),
    )


def _at_once(step: Any) -> bool:
    """The result of a step that has nothing to wait for."""
    try:
        step.send(None)
    except StopIteration as end:
        return bool(end.value)
    raise AssertionError("it waits")


def report(trace: Sequence[Arrival], model: str, sizes: Sequence[int], depth: float) -> Iterator[str]:
    """Yield the lines of a table: sizes of the reservation, with and without foresight, beside the ideal."""
    each = THROUGHPUTS[model]
    span = max(trace[-1].at - trace[0].at, 1.0)
    mean = sum(one.work(each.output_ratio) for one in trace) * 60 / span / each.input_tpm
    yield f"{len(trace)} calls in {span / 60:.0f} minutes; served evenly, {model} would need {mean:.1f} units"
    yield ""
    yield "| units | | share of the work | of the calls | ideal | 429s | foreseen | spill cost |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for size in sizes:
        units = Units(size * each.input_tpm, each.output_ratio, depth)
        best = ideal(trace, units)
        for foresees in (False, True):
            got = simulate(trace, units, foresees=foresees)
            how = "foreseen" if foresees else "by 429 alone"
            calls = got.calls_reserved / got.calls
            yield (
                f"| {size} | {how} | {got.share:.1%} | {calls:.1%} | {best:.1%} | {got.refused} | {got.foreseen} | "
                f"{got.spilled:.2f} |"
            )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", nargs="?", type=Path, default=os.environ.get(TRACE))
    parser.add_argument("--model", default="openai/gpt-4.1-mini", choices=sorted(THROUGHPUTS))
    parser.add_argument("--units", type=int, nargs="+", default=[30, 45, 60])
    parser.add_argument("--depth", type=float, default=60.0, help="seconds' worth of units that may be used at once")
    asked = parser.parse_args()
    if asked.trace is None:
        parser.error(f"give a trace, or set {TRACE}")
    for line in report(read_trace(Path(asked.trace)), asked.model, asked.units, asked.depth):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
