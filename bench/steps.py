"""What each step of a plain request costs by itself: `PYTHONPATH=src:. python bench/steps.py`.

The exchange's own steps, with every policy on, over and over in one process and without sockets: what they cost with
warm caches. Prints microseconds of the thread's CPU per call, the least of many rounds, which nothing disturbed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from bench.gateways import KEY_UNIT, Upstreams, declared
from bench.question import ANSWER, PATH
from tests.path import exchange as running

from bench import question
from trunkline.app.answering import Answering
from trunkline.app.beginning import begin
from trunkline.app.options import Options
from trunkline.app.signals import Signals
from trunkline.app.welcome import Welcome
from trunkline.dialects.dialect import Door
from trunkline.dialects.registry import find_door
from trunkline.estate.stages import Attempt
from trunkline.gateway.decode import decode
from trunkline.gateway.exchange import Exchange, Readiness
from trunkline.gateway.identify import identify
from trunkline.ids import RequestId
from trunkline.messages import Usage
from trunkline.metering.bound import bound
from trunkline.metering.hold import reserve
from trunkline.metering.purses import Pledge
from trunkline.metering.records import Status
from trunkline.policy.permit import permit
from trunkline.tenancy.mint import mint
from trunkline.upstream.compose import compose
from trunkline.upstream.course import Course
from trunkline.upstream.route import route
from trunkline.wire.limits import Limits
from trunkline.wire.peer import Peer
from trunkline.wire.reader import Bodies, Reader
from trunkline.wire.request import Request

ROUNDS, CALLS = 25, 400
USAGE = Usage(input=82, output=17)
T = TypeVar("T")


class Unheard:
    """An announcer to whom nobody listens."""

    def progress(self, line: str) -> None:
        """Show nothing."""

    def welcome(self, welcome: Welcome) -> None:
        """Show nothing."""


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[tuple[Exchange, bytes]]:
    """Begin an exchange that has no socket; with the bytes of a request of one of its keys."""
    path = running.write(folder, declared(Upstreams(1, 2)))
    options = Options(data=folder / "data", estate=path, engines=False, port=0)
    async with AsyncExitStack() as stack:
        start = await begin(stack, options, Unheard(), Signals.heard())
        ground = start.ground
        key, secret = mint(KEY_UNIT, pepper=ground.folder.pepper(), now=time.time_ns())
        ground.store.add(key)
        answering = Answering(
            ground,
            start.checked,
            ground.folder.journal_folder,
            engines=dict,
            readiness=lambda: Readiness(ready=True),
        )
        answering.begin(stack)
        yield answering.exchange, question.request("plain", secret, stream=False)


def at_once(step: Coroutine[Any, Any, T]) -> T:
    """Return the result of a step that has nothing to wait for."""
    try:
        step.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise RuntimeError("the step waited for something")


def cost(step: Callable[[], object]) -> float:
    """Return microseconds of CPU of one call."""
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for _ in range(CALLS):
            step()
        least = min(least, time.thread_time_ns() - began)
    return least / CALLS / 1_000


async def held(exchange: Exchange, attempt: Attempt) -> Pledge:
    """Hold an attempt in the budgets above it."""
    pledge = await exchange.cashier.pledge(attempt) if exchange.cashier is not None else None
    if pledge is None:
        raise RuntimeError("the estate has no budgets")
    return pledge


async def visited(exchange: Exchange, attempt: Attempt, door: Door) -> None:
    """Count an attempt against the limits above it, tell what is left of them, and take it back out."""
    with exchange.visit() as visit:
        if visit is None:
            raise RuntimeError("the estate has no limits")
        await visit.admit(attempt)
        if door.dialect.rate_lines is not None:
            door.dialect.rate_lines(visit.left(attempt))


def booked(exchange: Exchange, attempt: Attempt, request_id: RequestId) -> None:
    """Write an attempt's intent and its settlement, and count it."""
    with reserve(exchange.book, attempt, request_id) as hold:
        exchange.health.begin(attempt)
        hold.settle(status=Status.OK, http_status=200, usage=USAGE, model_served="bench")


async def steps(exchange: Exchange, raw: bytes) -> dict[str, Callable[[], object]]:
    """Return the steps of the path in their order, each ready to be done over and over."""
    read: list[Request] = []
    limits = Limits()
    reader = Reader(limits, Bodies(limits.bodies), Peer("127.0.0.1", None), read.append)
    reader.feed(raw)
    request, door, id_ = read[0], find_door(PATH), exchange.ids.mint()
    if door is None:
        raise RuntimeError(f"{PATH} has no door")
    caller = await identify(exchange, request)
    asked = decode(door, request)
    permitted = permit(exchange.snapshot, caller, asked)
    (attempt,) = route(permitted, bound, exchange.health, Course(asked, exchange.clock))
    for _ in range(3):  # Leases grow with what is used.
        (await held(exchange, attempt)).settle(0)
        await asyncio.sleep(0.3)

    def read_again() -> None:
        reader.feed(raw)
        read.clear()
        reader.release(len(request.body))

    return {
        "read: cut the bytes into a request, and hold it against the rules of HTTP": read_again,
        "identify: the key's HMAC, and whose it is": lambda: at_once(identify(exchange, request)),
        "decode: the JSON of the body": lambda: decode(door, request),
        "permit: use case, data class, allowed deployments": lambda: permit(exchange.snapshot, caller, asked),
        "route: the next deployment, its price and the most that the call can cost": lambda: next(
            route(permitted, bound, exchange.health, Course(asked, exchange.clock))
        ),
        "limits: four windows and two buckets, and what is left": lambda: at_once(visited(exchange, attempt, door)),
        "budgets: held in three, and settled": lambda: at_once(held(exchange, attempt)).settle(0),
        "compose: what is sent upstream": lambda: compose(attempt, None),
        "journal: intent and settlement, two writes, and the metrics": lambda: booked(exchange, attempt, id_),
        "the answer: its usage": lambda: door.dialect.read_answer(asked, ANSWER.encode()),
    }


async def measure(folder: Path) -> dict[str, float]:
    """Return what each step costs, in the order of the path."""
    async with made(folder) as (exchange, raw):
        return {name: cost(step) for name, step in (await steps(exchange, raw)).items()}


def main() -> None:
    """Print the table."""
    logging.disable(logging.CRITICAL)
    os.environ[running.KEY_NAME.removeprefix("env:")] = running.VENDOR_KEY
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        found = uvloop.run(measure(Path(name)))
    width = max(map(len, found))
    for step, micros in (found | {"all of these": sum(found.values())}).items():
        print(f"| {step:<{width}} | {micros:5.1f} |")


if __name__ == "__main__":
    main()
