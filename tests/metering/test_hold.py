from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import msgspec
import pytest

from trunkline import errors
from trunkline.estate.decisions import Decision, Denial
from trunkline.estate.deployments import Pattern
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt, Permitted
from trunkline.estate.unit_prices import UnitPrice
from trunkline.ids import KeyId, RequestId, mint_journal_id
from trunkline.messages import Asked, Operation, Usage
from trunkline.metering.book import Book
from trunkline.metering.bound import MOST_MONEY, MOST_TOKENS, bound
from trunkline.metering.frames import read
from trunkline.metering.hold import Hold, reserve
from trunkline.metering.journal import Journal
from trunkline.metering.records import Intent, Settlement, Status
from trunkline.money import Pico
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Origin, Times

REQUEST = RequestId("req_1")
ENDPOINT = Endpoint(
    deployment="one",
    pattern=Pattern.SAAS,
    boundary="here",
    model="vendor/model",
    upstream_model="model",
    dialect="openai",
    origin=Origin("127.0.0.1", 1, tls=False),
    base_path="",
    headers=b"",
    price=UnitPrice(Pico(2_000), Pico(4_000), Pico(1_000), Pico(3_000), "estate/1"),
    times=Times(1, 1, 1, 1),
    output_bound=50,
)
ASKED = Asked(Operation.CHAT, "openai", "reports", {}, prompt_bound=10, end_customer="acme\0")
DECISION = Decision(
    "reports", "finance", "internal", ((ENDPOINT,),), (Denial("two", "a", "b"), Denial("two", "c", "d"))
)
CALLER = Caller(KeyId("key_1"), "finance", "CC-1")


class HandClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = 1_000

    def now(self) -> int:
        return self.time

    def ticks(self) -> int:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def book(tmp_path: Path, clock: HandClock) -> Book:
    return Book(Journal.open(tmp_path, mint_journal_id()), clock=clock, currency="EUR")


def _attempt(asked: Asked = ASKED) -> Attempt:
    permitted = Permitted(CALLER, asked, DECISION, note="raised by the caller")
    most, hold = bound(permitted, ENDPOINT)
    return Attempt(permitted, ENDPOINT, 1, most, hold, "tier 1", ENDPOINT.times)


def _reserve(book: Book) -> Hold:
    return reserve(book, _attempt(), REQUEST)


def _written(book: Book) -> list[Intent | Settlement]:
    return [record for part in book.journal.parts() for record in read(part.path).records]


def _settled(book: Book) -> Settlement:
    begun, ended = _written(book)
    assert isinstance(begun, Intent)
    assert isinstance(ended, Settlement)
    assert (ended.request, ended.attempt, book.in_flight) == (begun.request, begun.attempt, 0)
    return ended


def test_the_intent_is_in_the_journal_before_anything_is_sent(book: Book) -> None:
    with _reserve(book):
        (begun,) = _written(book)
        assert book.in_flight == 1
    assert isinstance(begun, Intent)
    assert (begun.unit, begun.cost_centre, begun.key, begun.hold, begun.currency) == (
        "finance",
        "CC-1",
        "key_1",
        230,
        "EUR",
    )
    assert (begun.model_asked, begun.model_sent, begun.price_version) == ("reports", "model", "estate/1")
    assert begun.bound == Usage(input=10, output=50, estimated=True)
    assert begun.decision == "reports as internal: 1 allowed, 1 refused; raised by the caller; tier 1"
    assert begun.end_customer == "acme\N{REPLACEMENT CHARACTER}"


def test_an_intent_that_cannot_be_written_refuses_the_call_and_holds_nothing(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.JournalFailed):
        _reserve(book)
    assert book.in_flight == 0


def test_a_settlement_prices_the_usage_and_keeps_the_times(book: Book, clock: HandClock) -> None:
    with _reserve(book) as hold:
        clock.time += 30
        hold.first_byte()
        clock.time += 12
        hold.first_byte()
        hold.settle(status=Status.OK, http_status=200, usage=Usage(input=10, output=5), model_served="model-2")
    ended = _settled(book)
    assert (ended.status, ended.http_status, ended.cost) == (Status.OK, 200, 40)
    assert (ended.first_byte, ended.latency, ended.at) == (30, 42, 1_042)
    assert (ended.usage, ended.model_served) == (Usage(input=10, output=5), "model-2")


def test_only_the_first_settlement_counts(book: Book) -> None:
    with _reserve(book) as hold:
        first = hold.settle(status=Status.OK, usage=Usage())
        assert hold.settle(status=Status.FAILED, usage=None) is first
    assert _settled(book) == first


def test_usage_that_is_not_known_is_charged_at_the_hold(book: Book) -> None:
    with _reserve(book) as hold:
        hold.settle(status=Status.BROKEN, usage=None)
    ended = _settled(book)
    assert (ended.cost, ended.usage) == (230, Usage(input=10, output=50, estimated=True))


FAULTS = [
    (asyncio.CancelledError(), False, Status.LEFT, 0, 230),
    (GeneratorExit(), False, Status.LEFT, 0, 230),
    (errors.Unreachable("no address"), False, Status.FAILED, 0, 0),
    (errors.Slow("connect", sent=False), False, Status.FAILED, 0, 0),
    (errors.Slow("first byte"), False, Status.FAILED, 0, 230),
    (errors.Broke("cut"), False, Status.FAILED, 0, 230),
    (errors.Broke("cut"), True, Status.BROKEN, 0, 230),
    (errors.Declined("no", status=500), False, Status.FAILED, 500, 0),
    (ZeroDivisionError("a fault of ours"), False, Status.FAILED, 0, 230),
    (KeyboardInterrupt(), True, Status.BROKEN, 0, 230),
]


@pytest.mark.parametrize(("fault", "begun", "status", "http_status", "cost"), FAULTS)
def test_every_way_out_settles_once_as_the_fault_says(
    book: Book, fault: BaseException, begun: bool, status: Status, http_status: int, cost: int
) -> None:
    def call() -> None:
        with _reserve(book) as hold:
            if begun:
                hold.first_byte()
            raise fault

    with pytest.raises(type(fault)):
        call()
    ended = _settled(book)
    assert (ended.status, ended.http_status, ended.cost) == (status, http_status, cost)
    assert ended.usage.estimated == (cost > 0)
    assert ended.error


def test_leaving_without_a_word_is_charged_at_the_hold(book: Book) -> None:
    with _reserve(book):
        pass
    ended = _settled(book)
    assert (ended.status, ended.cost) == (Status.FAILED, 230)


async def test_a_cancelled_call_is_settled_as_left(book: Book) -> None:
    async def call() -> None:
        with _reserve(book):
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert _settled(book).status is Status.LEFT


def test_a_settlement_that_the_disk_does_not_take_is_owed(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with _reserve(book) as hold:
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", full)
            hold.settle(status=Status.OK, usage=Usage(input=1))
        assert book.journal.owed == 1
    book.journal.pay()
    assert _settled(book).status is Status.OK


def test_who_counts_is_told_of_each_settlement(book: Book) -> None:
    told: list[tuple[Attempt, Settlement]] = []
    book.settled = lambda attempt, settlement: told.append((attempt, settlement))
    with _reserve(book) as hold:
        hold.settle(status=Status.OK, usage=Usage())
    assert [(attempt.endpoint, settlement) for attempt, settlement in told] == [(ENDPOINT, hold.settlement)]


def test_what_an_upstream_claims_beyond_reason_is_cut_and_marked(book: Book) -> None:
    with _reserve(book) as hold:
        hold.settle(
            status=Status.OK,
            usage=Usage(input=10**30, output=-5),
            model_served="\ud800\0" + "x" * 5_000,
            error="caf\u00e9",
        )
    ended = _settled(book)
    assert ended.usage == Usage(input=MOST_TOKENS, output=0, estimated=True)
    assert ended.cost <= MOST_MONEY
    assert (len(ended.model_served), ended.model_served[:3], ended.error) == (
        1_000,
        "?\N{REPLACEMENT CHARACTER}x",
        "caf\u00e9",
    )


def test_what_is_cut_keeps_what_nobody_stores(book: Book) -> None:
    with _reserve(book) as hold:
        hold.settle(status=Status.OK, usage=Usage(input=1 << 60, cache_write=5, cache_write_long=3))
    assert _settled(book).usage == Usage(input=MOST_TOKENS, cache_write=5, cache_write_long=3, estimated=True)


def test_a_caller_that_asks_beyond_reason_gets_a_hold_that_can_be_stored(book: Book) -> None:
    asked = msgspec.structs.replace(ASKED, answers=10**9, output_limit=10**15)
    with reserve(book, _attempt(asked), REQUEST) as hold:
        assert hold.intent.hold == MOST_MONEY
        assert hold.intent.bound.output == MOST_TOKENS


def test_the_bound_is_the_prompt_and_each_answer_at_its_limit(book: Book) -> None:
    permitted = Permitted(CALLER, msgspec.structs.replace(ASKED, answers=3, output_limit=7), DECISION)
    # The dearest kind of input is writing to the cache: 10 x 3,000 + 21 x 4,000 million-millionths.
    assert bound(permitted, ENDPOINT) == (Usage(input=10, output=21, estimated=True), 114)


def test_the_bound_counts_the_use_cases_instructions(book: Book) -> None:
    decision = msgspec.structs.replace(DECISION, instructions="caf\u00e9")
    most, _ = bound(Permitted(CALLER, ASKED, decision), ENDPOINT)
    assert most.input == 15


@pytest.mark.parametrize(("fields", "most"), [({}, 10), ({"tools": msgspec.Raw(b"[]")}, 540)])
def test_the_bound_counts_what_a_provider_adds_for_tools(book: Book, fields: dict[str, msgspec.Raw], most: int) -> None:
    endpoint = msgspec.structs.replace(ENDPOINT, tools_prompt=530)
    permitted = Permitted(CALLER, msgspec.structs.replace(ASKED, fields=fields), DECISION)
    assert bound(permitted, endpoint)[0].input == most
    assert bound(permitted, ENDPOINT)[0].input == 10


def test_embeddings_have_no_output_to_hold(book: Book) -> None:
    permitted = Permitted(CALLER, msgspec.structs.replace(ASKED, operation=Operation.EMBEDDINGS), DECISION)
    assert bound(permitted, ENDPOINT) == (Usage(input=10, estimated=True), 30)


def test_a_settlement_within_the_bound_never_costs_more_than_the_hold(book: Book) -> None:
    for usage in (Usage(10, 10, 0, 50), Usage(10, 0, 10, 50), Usage(10, 5, 5, 50, 50)):
        with reserve(book, _attempt(), REQUEST) as hold:
            assert hold.settle(status=Status.OK, usage=usage).cost <= hold.intent.hold
