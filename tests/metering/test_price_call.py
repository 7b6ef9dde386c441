from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.estate.stages import UnitPrice, Variant
from trunkline.messages import Usage
from trunkline.metering.price_call import cost, hold
from trunkline.money import Pico, bare, price_per_mtok

MINI = UnitPrice(
    input=price_per_mtok(Decimal("0.40")),
    output=price_per_mtok(Decimal("1.60")),
    cache_read=price_per_mtok(Decimal("0.10")),
    cache_write=price_per_mtok(Decimal("0.50")),
)

picos = st.integers(0, 10**9).map(Pico)
prices = st.builds(UnitPrice, input=picos, output=picos, cache_read=picos, cache_write=picos)
tokens = st.integers(0, 2_000_000)
strange = st.integers(-1_000, 2_000_000)
usages = st.builds(Usage, input=strange, cached=strange, cache_write=strange, output=strange, reasoning=strange)


@pytest.mark.parametrize(("usage", "amount"), [
    (Usage(), "0"),
    (Usage(input=1_000_000), "0.4"),
    (Usage(input=1_000_000, cached=1_000_000), "0.1"),
    (Usage(input=1_000_000, cache_write=1_000_000), "0.5"),
    (Usage(input=1_000_000, cached=500_000, cache_write=250_000), "0.275"),
    (Usage(output=1_000_000, reasoning=900_000), "1.6"),
    (Usage(input=1200, cached=200, output=300), "0.0009"),
    (Usage(input=1), "0.0000004"),
])  # fmt: skip
def test_each_kind_of_token_has_its_own_price(usage: Usage, amount: str) -> None:
    assert bare(cost(usage, MINI)) == amount


def test_a_cost_is_rounded_once_and_half_up() -> None:
    assert cost(Usage(input=1, output=1), UnitPrice(input=Pico(300), output=Pico(200))) == 1
    assert cost(Usage(input=1, output=1), UnitPrice(input=Pico(300), output=Pico(199))) == 0


def test_more_cached_tokens_than_input_are_booked_in_full_and_nothing_else() -> None:
    assert bare(cost(Usage(input=10, cached=1_000_000), MINI)) == "0.1"


def test_a_price_that_is_not_known_costs_nothing() -> None:
    assert cost(Usage(input=5, output=5), UnitPrice(known=False)) == 0


@given(usage=usages, price=prices)
def test_a_cost_is_never_negative(usage: Usage, price: UnitPrice) -> None:
    assert cost(usage, price) >= 0


@given(price=prices, plain=tokens, cached=tokens, cache_write=tokens, output=tokens)
def test_a_cost_is_the_exact_sum_to_half_a_billionth(
    price: UnitPrice, plain: int, cached: int, cache_write: int, output: int
) -> None:
    usage = Usage(input=plain + cached + cache_write, cached=cached, cache_write=cache_write, output=output)
    exact = Fraction(
        plain * price.input + cached * price.cache_read + cache_write * price.cache_write + output * price.output, 1000
    )
    assert abs(cost(usage, price) - exact) <= Fraction(1, 2)


@given(price=prices, bound_input=tokens, bound_output=tokens, answers=st.integers(1, 8), data=st.data())
def test_a_hold_is_never_below_the_cost_of_any_usage_inside_its_bounds(
    price: UnitPrice, bound_input: int, bound_output: int, answers: int, data: st.DataObject
) -> None:
    # An upstream may report cached tokens apart from the input, or more of them: they fit in the prompt all the same.
    cached = data.draw(st.integers(0, bound_input))
    cache_write = data.draw(st.integers(0, bound_input - cached))
    usage = Usage(
        input=data.draw(st.integers(0, bound_input)),
        cached=cached,
        cache_write=cache_write,
        output=data.draw(st.integers(0, bound_output * answers)),
    )
    assert hold(bound_input, bound_output, answers, price) >= cost(usage, price)


@given(price=prices, bound_input=tokens, bound_output=tokens, answers=st.integers(1, 8))
def test_a_hold_is_no_more_than_the_dearest_usage_inside_its_bounds(
    price: UnitPrice, bound_input: int, bound_output: int, answers: int
) -> None:
    output = bound_output * answers
    dearest = max(
        cost(Usage(input=bound_input, output=output), price),
        cost(Usage(input=bound_input, cached=bound_input, output=output), price),
        cost(Usage(input=bound_input, cache_write=bound_input, output=output), price),
    )
    assert hold(bound_input, bound_output, answers, price) - dearest in (0, 1)


def test_a_request_for_no_answers_still_holds_one() -> None:
    assert hold(0, 10, 0, MINI) == hold(0, 10, 1, MINI) > 0


def test_what_the_cache_keeps_for_an_hour_costs_more() -> None:
    price = UnitPrice(input=Pico(100), cache_write=Pico(125), cache_write_long=Pico(200))
    usage = Usage(input=10_000, cache_write=3_000, cache_write_long=1_000)
    assert cost(usage, price) == (7_000 * 100 + 2_000 * 125 + 1_000 * 200) // 1_000
    assert hold(10_000, 0, 1, price) == 10_000 * 200 // 1_000


LONG = UnitPrice(input=Pico(2_500_000), output=Pico(15_000_000), cache_read=Pico(250_000))
NIGHT = UnitPrice(input=Pico(600_000), output=Pico(5_000_000), cache_read=Pico(60_000))
TIERED = UnitPrice(
    input=Pico(1_250_000),
    output=Pico(10_000_000),
    cache_read=Pico(125_000),
    variants=(Variant(LONG, above=200_000), Variant(NIGHT, begins=22 * 3600, ends=6 * 3600)),
)
NOON, LATE, EARLY = (hour * 3600 * 10**9 for hour in (12, 23, 30))


@pytest.mark.parametrize(("prompt", "at", "held"), [
    (200_000, NOON, TIERED),
    (200_001, NOON, LONG),
    (200_001, LATE, NIGHT),
    (1, LATE, NIGHT),
    (1, 6 * 3600 * 10**9, TIERED),
    (1, 22 * 3600 * 10**9, NIGHT),
    (1, EARLY - 24 * 3600 * 10**9, TIERED),
    (1, EARLY - 25 * 3600 * 10**9, NIGHT),
])  # fmt: skip
def test_long_prompts_and_hours_have_prices_of_their_own_for_all_of_a_call(
    prompt: int, at: int, held: UnitPrice
) -> None:
    usage = Usage(input=prompt, cached=prompt // 2, output=77)
    plain = msgspec.structs.replace(held, variants=())
    assert cost(usage, TIERED, at) == cost(usage, plain)


@given(
    usage=usages, prompt=tokens, output=tokens, at=st.integers(0, 2**60), long=prices, night=prices, base=prices,
    above=tokens, begins=st.integers(0, 86_399), ends=st.integers(0, 86_399),
)  # fmt: skip
def test_no_hour_and_no_length_costs_more_than_was_held(
    usage: Usage, prompt: int, output: int, at: int, long: UnitPrice, night: UnitPrice, base: UnitPrice, **when: int
) -> None:
    variants = (Variant(long, above=when["above"]), Variant(night, begins=when["begins"], ends=when["ends"]))
    price = msgspec.structs.replace(base, variants=variants)
    counted = max(usage.input, usage.cached + usage.cache_write)
    within = msgspec.structs.replace(
        usage, input=counted, cached=max(usage.cached, 0), cache_write=max(usage.cache_write, 0)
    )
    within = msgspec.structs.replace(within, input=max(within.input, within.cached + within.cache_write))
    assert cost(within, price, at) <= hold(within.input, max(within.output, 0), 1, price)
