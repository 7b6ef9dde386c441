"""Provisioned units: what a call takes of them, how that ebbs away, and that calls spill before a 429."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.metering.test_turnstile import NOON, Hands

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.estate.deployments import Capacity
from trunkline.messages import Usage
from trunkline.metering.counters import Page
from trunkline.metering.limits import PROVISIONED, Limits, Rate, throughput
from trunkline.metering.records import Status
from trunkline.metering.refusals import Full
from trunkline.metering.turnstile import Turnstile
from trunkline.metering.visit import Visit

PER_MINUTE = 6_000
UNITS = Rate(
    "deployment:gpt/capacity/ptu",
    'the 2 units of deployment "gpt"',
    PROVISIONED,
    PER_MINUTE,
    owner="acme",
    provided=True,
    drains=PER_MINUTE,
    ratio=4,
)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def turnstile(tmp_path: Path, hands: Hands) -> Iterator[Turnstile]:
    page = Page(tmp_path / "rates")
    yield Turnstile(page, Limits({}, {"gpt": (UNITS,)}, {}), hands)
    page.close()


def call(prompt: int, limit: int | None) -> Any:
    """An attempt with a prompt of so many tokens."""
    asked = SimpleNamespace(end_customer=None, prompt_bound=prompt * 4, output_limit=limit, answers=1)
    permitted = SimpleNamespace(
        caller=SimpleNamespace(unit="sales", key="k", person=None),
        asked=asked,
        decision=SimpleNamespace(use_case="chat"),
    )
    endpoint = SimpleNamespace(deployment="gpt")
    return SimpleNamespace(permitted=permitted, endpoint=endpoint, bound=Usage(input=prompt * 4, output=limit or 0))


def enter(turnstile: Turnstile, prompt: int, limit: int | None = 0) -> Visit:
    visit = Visit(turnstile)
    step = visit.admit(call(prompt, limit))
    with contextlib.suppress(StopIteration):
        step.send(None)
    return visit


def end(visit: Visit, usage: Usage, status: Status = Status.OK) -> None:
    visit.hold = cast("Any", SimpleNamespace(settlement=SimpleNamespace(usage=usage, status=status)))
    with visit:
        pass


def full(turnstile: Turnstile) -> int:
    return turnstile.readings()[UNITS.name].used


def test_a_call_takes_its_prompt_and_its_output_by_weight(turnstile: Turnstile) -> None:
    enter(turnstile, 1_000, 100)
    assert full(turnstile) == 1_400


def test_what_it_took_replaces_what_was_foreseen_and_cached_tokens_take_nothing(turnstile: Turnstile) -> None:
    end(enter(turnstile, 1_000, 1_000), Usage(input=900, cached=500, output=50))
    assert full(turnstile) == 400 + 4 * 50


def test_calls_are_taken_until_the_units_are_full_and_the_refusal_says_when_there_is_room(
    turnstile: Turnstile, hands: Hands
) -> None:
    enter(turnstile, PER_MINUTE - 1)
    enter(turnstile, 201)  # The last call may lie above it.
    with pytest.raises(Full) as caught:
        enter(turnstile, 1)
    assert caught.value.rate.words == 'the 2 units of deployment "gpt"'
    assert caught.value.refusal.retry_after == 3
    hands.time += 2 * SECOND
    with pytest.raises(Full):
        enter(turnstile, 1)
    hands.time += SECOND
    enter(turnstile, 1)


def test_what_is_used_ebbs_away_evenly_and_never_below_nothing(turnstile: Turnstile, hands: Hands) -> None:
    enter(turnstile, 3_000)
    for _ in range(1_000):
        hands.time += SECOND // 100 + 7
        full(turnstile)
    assert full(turnstile) == 2_000
    hands.time += 60 * SECOND
    assert full(turnstile) == 0


def test_a_clock_that_is_set_back_frees_nothing(turnstile: Turnstile, hands: Hands) -> None:
    enter(turnstile, 3_000)
    hands.time -= 30 * SECOND
    assert full(turnstile) == 3_000
    hands.time = NOON + 30 * SECOND
    assert full(turnstile) == 0


def test_without_a_limit_of_its_own_a_call_is_foreseen_by_what_answers_usually_have(
    turnstile: Turnstile, hands: Hands
) -> None:
    for _ in range(200):
        hands.time += SECOND
        end(enter(turnstile, 0, None), Usage(output=10))
    before = full(turnstile)
    enter(turnstile, 0, None)
    assert full(turnstile) - before == 4 * 10


def test_a_call_that_failed_without_saying_what_it_used_keeps_what_was_foreseen_and_no_more(
    turnstile: Turnstile,
) -> None:
    end(enter(turnstile, 1_000, 10), Usage(input=4_000, output=32_768, estimated=True), Status.FAILED)
    assert full(turnstile) == 1_040


def test_how_much_fits_at_once_is_learnt_from_a_429_and_forgotten_little_by_little(
    turnstile: Turnstile, hands: Hands
) -> None:
    enter(turnstile, 2_000)
    turnstile.found_full("gpt")
    with pytest.raises(Full):
        enter(turnstile, 1)
    hands.time += 5 * SECOND
    for _ in range(3_000):
        end(enter(turnstile, 0), Usage())
    enter(turnstile, 2_500)
    enter(turnstile, 1)


def test_an_attempt_that_was_not_sent_takes_nothing(turnstile: Turnstile) -> None:
    with enter(turnstile, 1_000, 100):
        pass
    assert full(turnstile) == 0


def test_a_units_throughput_is_the_estates_word_or_else_the_catalogues() -> None:
    known = throughput("openai/gpt-4.1-mini", Capacity(ptu=50))
    assert known is not None
    assert (known.input_tpm, known.output_ratio) == (14_900, 4)
    said = throughput("openai/gpt-4.1-mini", Capacity(ptu=50, input_tpm=10))
    assert said is not None
    assert (said.input_tpm, said.output_ratio) == (10, 4)
    assert throughput("acme/own", Capacity(ptu=50, input_tpm=10)) is None
