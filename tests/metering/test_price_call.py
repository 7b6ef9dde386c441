from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.clock import as_nanos
from trunkline.estate.unit_prices import MediaPrice, UnitPrice, Variant
from trunkline.messages import Media, Usage
from trunkline.metering.price_call import cost, hold
from trunkline.money import Pico, bare, price_per_mtok, settle_picos

MINI = UnitPrice(
    input=price_per_mtok(Decimal("0.40")),
    output=price_per_mtok(Decimal("1.60")),
    cache_read=price_per_mtok(Decimal("0.10")),
    cache_write=price_per_mtok(Decimal("0.50")),
)

picos = st.integers(0, 10**9).map(Pico)
media_prices = st.none() | st.builds(MediaPrice, picos, picos, picos, picos, picos, picos)
prices = st.builds(UnitPrice, input=picos, output=picos, cache_read=picos, cache_write=picos, media=media_prices)
tokens = st.integers(0, 2_000_000)
strange = st.integers(-1_000, 2_000_000)
medias = st.none() | st.builds(Media, strange, strange, strange, strange, strange, strange)
usages = st.builds(
    Usage, input=strange, cached=strange, cache_write=strange, output=strange, reasoning=strange, media=medias
)


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
        media=data.draw(medias),
    )
    assert hold(bound_input, bound_output, answers, price) >= cost(usage, price)


@given(price=prices, bound_input=tokens, bound_output=tokens, answers=st.integers(1, 8))
def test_a_hold_is_no_more_than_the_dearest_usage_inside_its_bounds(
    price: UnitPrice, bound_input: int, bound_output: int, answers: int
) -> None:
    output = bound_output * answers
    whole = Usage(input=bound_input, output=output)
    kinds: list[dict[str, int]] = [{}, {"cached": bound_input}, {"cache_write": bound_input}]
    heard = {"input_audio": bound_input, "cached_audio": bound_input}
    seen = {"input_image": bound_input, "cached_image": bound_input}
    prompts: list[dict[str, int]] = [{}, heard, seen]
    answers_of: list[dict[str, int]] = [{}, {"output_audio": output}, {"output_image": output}]
    dearest = max(
        cost(msgspec.structs.replace(whole, **kind, media=Media(**before, **after)), price)
        for kind in kinds
        for before in (*prompts, {"input_audio": bound_input}, {"input_image": bound_input})
        for after in answers_of
    )
    assert hold(bound_input, bound_output, answers, price) - dearest in (0, 1)


def test_a_request_for_no_answers_still_holds_one() -> None:
    assert hold(0, 10, 0, MINI) == hold(0, 10, 1, MINI) > 0


def test_what_the_cache_keeps_for_an_hour_costs_more() -> None:
    price = UnitPrice(input=Pico(100), cache_write=Pico(125), cache_write_long=Pico(200))
    usage = Usage(input=10_000, cache_write=3_000, cache_write_long=1_000)
    assert cost(usage, price) == (7_000 * 100 + 2_000 * 125 + 1_000 * 200) // 1_000
    assert hold(10_000, 0, 1, price) == 10_000 * 200 // 1_000


HEARD = UnitPrice(
    input=Pico(300),
    output=Pico(2_500),
    cache_read=Pico(30),
    media=MediaPrice(Pico(1_000), Pico(300), Pico(100), Pico(30), Pico(9_000), Pico(30_000)),
)


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (None, 700 * 300 + 300 * 30 + 50 * 2_500),
        (Media(input_audio=600, cached_audio=200), 300 * 300 + 400 * 1_000 + 100 * 30 + 200 * 100 + 50 * 2_500),
        (Media(output_image=40, output_audio=5), 700 * 300 + 300 * 30 + 5 * 2_500 + 5 * 9_000 + 40 * 30_000),
        # What an upstream tells beyond its own sums counts no further than these.
        (Media(input_audio=9_000, cached_audio=-1), 700 * 1_000 + 300 * 30 + 50 * 2_500),
        (Media(output_audio=60, output_image=60), 700 * 300 + 300 * 30 + 50 * 9_000),
    ],
)
def test_sound_and_pictures_cost_what_they_do(media: Media | None, expected: int) -> None:
    usage = Usage(input=1_000, cached=300, output=50, media=media)
    assert cost(usage, HEARD) == settle_picos(expected)
    assert cost(usage, msgspec.structs.replace(HEARD, media=None)) == settle_picos(700 * 300 + 300 * 30 + 50 * 2_500)
    assert cost(usage, HEARD) <= hold(1_000, 50, 1, HEARD)


PEAK = UnitPrice(input=Pico(2_000))
BY_DAY = UnitPrice(
    input=Pico(1_000),
    variants=(Variant(PEAK, begins=3600, ends=4 * 3600, weekdays=frozenset(range(5)), free=frozenset({20_727})),),
)


@pytest.mark.parametrize(
    ("moment", "peak"),
    [
        ("2026-09-30T02:00:00+00:00", True),
        ("2026-09-30T05:00:00+00:00", False),
        ("2026-10-01T02:00:00+00:00", False),
        ("2026-10-02T02:00:00+00:00", True),
        ("2026-10-03T02:00:00+00:00", False),
        ("2026-10-04T02:00:00+00:00", False),
        ("2026-10-05T02:00:00+00:00", True),
    ],
)
def test_prices_by_the_hour_may_hold_on_some_days_alone(moment: str, peak: bool) -> None:
    at = as_nanos(datetime.fromisoformat(moment))
    assert cost(Usage(input=1_000), BY_DAY, at) == (2_000 if peak else 1_000)


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
