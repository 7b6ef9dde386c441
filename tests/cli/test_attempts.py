from __future__ import annotations

import io
import json
from collections.abc import Callable
from decimal import Decimal

from rich.console import Console

from trunkline.cli.attempts import attempt_cells, attempt_json, attempts_page, call_json, call_view
from trunkline.cli.output import row_json
from trunkline.messages import Usage
from trunkline.metering.records import AttemptRow, Status
from trunkline.money import Nano

Make = Callable[..., AttemptRow]


def printed(shown: object, width: int = 200) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(shown)
    return text.getvalue()


def test_a_row_carries_every_field_of_the_record(row: Make) -> None:
    fields = set(AttemptRow.__struct_fields__) - {"request", "usage", "latency", "first_byte"} | {"request_id"}
    given = attempt_json(row())
    assert fields <= set(given)
    assert given["tokens_input"] == 12
    assert given["tokens_cached"] == 4
    assert given["tokens_cache_write"] == 0
    assert given["tokens_output"] == 7
    assert given["tokens_reasoning"] == 2
    assert given["latency_ms"] == 1250.5
    assert given["first_byte_ms"] == 250
    assert given["at"] == "2026-09-21T14:13:20.000Z"


def test_money_is_a_number_exact_to_the_last_digit(row: Make) -> None:
    text = row_json(attempt_json(row(cost=Nano(9_007_199_254_740_993), hold=Nano(1))))
    read = json.loads(text, parse_float=Decimal)
    assert read["cost"] == Decimal("9007199.254740993")
    assert read["hold"] == Decimal("0.000000001")
    assert '"hold":0.000000001' in text


def test_an_attempt_that_is_still_open_has_no_durations(row: Make) -> None:
    open_row = row(status=Status.OPEN, latency=None, first_byte=None)
    assert attempt_json(open_row)["latency_ms"] is None
    assert "open" in printed(attempts_page(200).more([attempt_cells(open_row)]))


def test_a_call_holds_its_attempts_and_the_sum_of_their_costs(row: Make) -> None:
    rows = (row(attempt=1, status=Status.FAILED, cost=Nano(0)), row(attempt=2, deployment="smol", cost=Nano(7)))
    call = json.loads(row_json(call_json(rows)), parse_float=Decimal)
    assert call["cost"] == Decimal("0.000000007")
    assert call["status"] == "ok"
    assert [attempt["deployment"] for attempt in call["attempts"]] == ["gpt-saas", "smol"]
    view = printed(call_view(rows))
    assert "attempt 1" in view
    assert "attempt 2" in view
    assert "0.000000007 EUR" in view


def test_estimated_tokens_are_marked(row: Make) -> None:
    cells = attempt_cells(row(usage=Usage(input=5, output=6, estimated=True)))
    assert "~5" in cells
    assert "~6" in cells


def test_a_narrow_terminal_drops_columns_but_never_breaks_a_request_id(row: Make) -> None:
    rows = [attempt_cells(row())]
    narrow, wide = printed(attempts_page(80).more(rows), 80), printed(attempts_page(200).more(rows), 200)
    assert row().request in narrow
    assert all(len(line) <= 80 for line in narrow.splitlines())
    assert "marketing" not in narrow
    assert "marketing" in wide


def test_a_page_that_goes_on_shows_its_header_once_and_keeps_its_columns(row: Make) -> None:
    page = attempts_page(200)
    first = printed(page.more([attempt_cells(row(deployment="a-long-deployment-name"))]))
    second = printed(page.more([attempt_cells(row(deployment="smol"))]))
    assert "deployment" in first
    assert "deployment" not in second
    assert first.splitlines()[1].index("ok") == second.splitlines()[0].index("ok")
