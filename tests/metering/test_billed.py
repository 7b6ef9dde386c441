"""A golden test for each rule by which providers bill: usage in, an exact amount out, whole, streamed and cut."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from trunkline.catalog.vendor import load_vendors
from trunkline.clock import as_nanos
from trunkline.dialects.dialect import AnswerStream
from trunkline.dialects.registry import DIALECTS
from trunkline.estate.boundaries import Boundary
from trunkline.estate.deployments import Deployment, Pattern
from trunkline.estate.estate import Estate
from trunkline.estate.unit_prices import UnitPrice
from trunkline.estate.units import Unit
from trunkline.messages import Asked, Operation, Usage
from trunkline.metering.price_call import cost, rates
from trunkline.metering.prices import price_deployments
from trunkline.money import bare, price_per_mtok

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "billed"
CASES: Final[dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}
KINDS: Final = {"input": "input", "cached": "cache_read", "cache_write": "cache_write", "output": "output"}
each = pytest.mark.parametrize("name", CASES)


def moment(case: dict[str, Any]) -> int:
    return as_nanos(datetime.fromisoformat(case["at"]))


def price(case: dict[str, Any]) -> UnitPrice:
    """The price that the bundled table has, in an estate that reckons in dollars."""
    estate = Estate(
        name="e",
        currency="USD",
        time_zone="UTC",
        units={"root": Unit("1")},
        data_classes={},
        boundaries={"b": Boundary(provider=case["vendor"], owner="root")},
        deployments={"d": Deployment(model=case["model"], pattern=Pattern.SAAS, boundary="b")},
        pools={},
        use_cases={},
    )
    return price_deployments(estate, load_vendors(), moment(case))["d"]


def asked(case: dict[str, Any], *, stream: bool) -> Asked:
    prompt = json.dumps([{"role": "user", "content": "hi"}]).encode()
    fields: Any = dict.fromkeys(("messages", "contents", "input"), prompt)
    return Asked(Operation.CHAT, case["dialect"], "m", fields, stream=stream, wants_usage=True)


def counted(case: dict[str, Any]) -> Usage:
    """What the whole answer used."""
    body = json.dumps(case["answer"]).encode()
    return DIALECTS[case["dialect"]].read_answer(asked(case, stream=False), body).usage


def follow(case: dict[str, Any], events: list[Any]) -> AnswerStream:
    stream = DIALECTS[case["dialect"]].follow(asked(case, stream=True))
    for event in events:
        kind = f"event: {event['type']}\n" if "type" in event else ""
        stream.take(f"{kind}data: {json.dumps(event)}\n\n".encode())
    return stream


@each
def test_the_price_in_force_is_the_published_one(name: str) -> None:
    case = CASES[name]
    held = rates(price(case), counted(case).input, moment(case))
    for kind, published in case["prices"].items():
        field = KINDS.get(kind, kind)
        assert getattr(held, field) == price_per_mtok(Decimal(published)), kind
    for kind, published in case.get("media", {}).items():
        assert getattr(held.media, kind) == price_per_mtok(Decimal(published)), kind


@each
def test_a_whole_answer_costs_what_the_provider_bills(name: str) -> None:
    case = CASES[name]
    usage = counted(case)
    assert not usage.estimated
    assert bare(cost(usage, price(case), moment(case))) == case["amount"]


@each
def test_a_stream_costs_the_same(name: str) -> None:
    case = CASES[name]
    stream = follow(case, case["stream"])
    assert stream.whole
    usage = stream.used(complete=True)
    assert not usage.estimated
    assert bare(cost(usage, price(case), moment(case))) == case["amount"]


@each
def test_a_stream_that_is_cut_costs_what_came_and_says_that_it_is_estimated(name: str) -> None:
    case = CASES[name]
    told = next(index for index, event in enumerate(case["stream"]) if "Hello" in json.dumps(event))
    usage = follow(case, case["stream"][: told + 1]).used(complete=False)
    assert usage.estimated
    assert 0 < usage.output <= 3
    assert cost(usage, price(case), moment(case)) > 0
    # Where the provider tells the prompt's tokens at the beginning, they are the ones that count.
    assert usage.input in (counted(case).input, 9)
