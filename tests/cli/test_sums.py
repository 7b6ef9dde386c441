from __future__ import annotations

import io
import json
from decimal import Decimal

import msgspec
import pytest
from rich.console import Console

from trunkline.cli.output import row_json
from trunkline.cli.sums import part_currencies, sum_json, sum_keys, sum_table
from trunkline.metering.ports import SumRow


def summed(unit: str, cost: int) -> SumRow:
    return SumRow(
        by={"unit": unit, "end_customer": None},
        calls=2,
        attempts=3,
        estimated=1,
        cost=cost,
        tokens_input=1_200,
        tokens_cached=10,
        tokens_cache_write=4,
        tokens_output=70,
        tokens_reasoning=5,
    )


def test_a_row_carries_the_keys_asked_for_and_the_sums_in_exact_numbers() -> None:
    text = row_json(sum_json(summed("hr", 100_000_000_000_000_001)))
    assert json.loads(text, parse_float=Decimal) == {
        "unit": "hr",
        "end_customer": None,
        "calls": 2,
        "attempts": 3,
        "estimated": 1,
        "cost": Decimal("100000000.000000001"),
        "tokens_input": 1_200,
        "tokens_cached": 10,
        "tokens_cache_write": 4,
        "tokens_output": 70,
        "tokens_reasoning": 5,
    }


def test_the_table_ends_in_a_total_that_is_the_sum() -> None:
    text = io.StringIO()
    table = sum_table(("unit", "end_customer"), [summed("hr", 1), summed("sales", 2)], "EUR", 200)
    Console(file=text, width=200).print(table)
    last = text.getvalue().splitlines()[-1].split()
    assert last[0] == "total"
    assert last[-1] == "0.000000003"
    assert "2,400" in last


def test_amounts_of_several_currencies_are_told_apart_and_never_added_up() -> None:
    rows = [msgspec.structs.replace(summed("hr", 3), by={"unit": "hr", "currency": name}) for name in ("EUR", "USD")]
    by, told, currency = part_currencies(("unit",), rows)
    assert (by, told, currency) == (("unit", "currency"), tuple(rows), "")
    text = io.StringIO()
    Console(file=text, width=200).print(sum_table(by, told, currency, 200))
    assert "USD" in text.getvalue()
    assert "total" not in text.getvalue()


def test_rows_of_one_currency_have_it_only_where_it_was_asked_for() -> None:
    (row,) = rows = [msgspec.structs.replace(summed("hr", 3), by={"unit": "hr", "currency": "EUR"})]
    assert part_currencies(("unit", "currency"), rows) == (("unit", "currency"), (row,), "")
    by, (plain,), currency = part_currencies(("unit",), rows)
    assert (by, plain.by, currency) == (("unit",), {"unit": "hr"}, "EUR")
    assert part_currencies(("unit",), ()) == (("unit",), (), "")


def test_keys_are_read_each_once_with_either_dash() -> None:
    assert sum_keys("unit, use-case,unit") == ("unit", "use_case")
    assert sum_keys("") == ()


def test_a_key_that_the_ledger_lacks_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no key 'deploymnt': did you mean deployment"):
        sum_keys("unit,deploymnt")
    with pytest.raises(ValueError, match="it can be summed by unit, cost_centre"):
        sum_keys("zzz")
