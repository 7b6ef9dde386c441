from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.clock import SystemClock
from trunkline.ids import mint_journal_id
from trunkline.metering.frames import SUFFIX, frame, header
from trunkline.metering.records import AttemptRow, Intent, Settlement
from trunkline.store.folder import DataFolder

if TYPE_CHECKING:
    from tests.cli.conftest import Command

HOUR = 3_600_000_000_000
Make = Callable[..., AttemptRow]


def leave_behind(data: Path, *rows: AttemptRow) -> None:
    """Write a journal as an exchange that is gone leaves it."""
    journal = mint_journal_id()
    written = header(journal)
    for sequence, row in enumerate(rows):
        intent: dict[str, Any] = {name: getattr(row, name, None) for name in Intent.__struct_fields__}
        written += frame(Intent(**intent | {"sequence": 2 * sequence, "bound": row.usage, "leases": ()}))
        settled: dict[str, Any] = {name: getattr(row, name, None) for name in Settlement.__struct_fields__}
        written += frame(Settlement(**settled | {"sequence": 2 * sequence + 1, "at": row.at + 1}))
    (DataFolder(data).journal_folder / f"{journal}{SUFFIX}").write_bytes(written)


@pytest.fixture
def kept(data: Path, row: Make) -> Path:
    """A data folder whose exchange is gone and has left three attempts of two calls in its journal."""
    now = SystemClock.now()
    leave_behind(
        data,
        row(request="req_1", at=now - 48 * HOUR, unit="hr", cost=1),
        row(request="req_2", at=now - HOUR, attempt=1, status="failed", http_status=503, error="it broke", cost=0),
        row(request="req_2", at=now - HOUR + 1, attempt=2, deployment="smol", cost=100_000_000_000_000_001),
    )
    return data


def read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def test_the_tail_books_what_was_left_behind_and_gives_the_newest_last(trunkline: Command, kept: Path) -> None:
    rows = read(trunkline("ledger", "tail", "--data", kept, "--json").out)
    assert [(row["request_id"], row["attempt"]) for row in rows] == [("req_1", 1), ("req_2", 1), ("req_2", 2)]
    assert rows[2]["cost"] == Decimal("100000000.000000001")
    assert [
        row["request_id"] for row in read(trunkline("ledger", "tail", "-n", "1", "--data", kept, "--json").out)
    ] == ["req_2"]
    table = trunkline("ledger", "tail", "--data", kept).out
    assert "100000000.000000001 EUR" in table
    assert "failed 503" in table


def test_a_call_is_shown_with_its_attempts(trunkline: Command, kept: Path) -> None:
    call = read(trunkline("ledger", "show", "req_2", "--data", kept, "--json").out)
    assert [attempt["deployment"] for attempt in call["attempts"]] == ["gpt-saas", "smol"]
    assert call["attempts"][0]["error"] == "it broke"
    assert "it broke" in trunkline("ledger", "show", "req_2", "--data", kept).out


def test_a_call_that_is_not_there_is_answered_with_no(trunkline: Command, kept: Path) -> None:
    done = trunkline("ledger", "show", "req_9", "--data", kept, "--json")
    assert (done.code, done.out) == (1, "")
    assert "no call req_9" in done.err


def test_sums_are_exact_and_carry_the_keys_asked_for(trunkline: Command, kept: Path) -> None:
    rows = read(trunkline("ledger", "sum", "--by", "unit,pattern", "--data", kept, "--json").out)
    assert [(row["unit"], row["pattern"], row["calls"], row["attempts"]) for row in rows] == [
        ("marketing", "saas", 1, 2),
        ("hr", "saas", 1, 1),
    ]
    assert rows[0]["cost"] == Decimal("100000000.000000001")
    assert rows[1]["cost"] == Decimal("0.000000001")


def test_sums_are_of_the_span_asked_for(trunkline: Command, kept: Path) -> None:
    newer = read(trunkline("ledger", "sum", "--by", "unit", "--since", "24h", "--data", kept, "--json").out)
    assert [row["unit"] for row in newer] == ["marketing"]
    older = read(trunkline("ledger", "sum", "--by", "unit", "--until", "24h", "--data", kept, "--json").out)
    assert [row["unit"] for row in older] == ["hr"]
    assert "total" in trunkline("ledger", "sum", "--by", "unit", "--data", kept).out


@pytest.mark.parametrize("words", [("--by", "colour"), ("--since", "yesterday"), ("--until", "25:00")])
def test_a_sum_that_makes_no_sense_is_wrong_usage(trunkline: Command, kept: Path, words: tuple[str, str]) -> None:
    done = trunkline("ledger", "sum", *words, "--data", kept, "--json")
    assert (done.code, done.out) == (2, "")


def test_an_empty_ledger_is_an_empty_array(trunkline: Command, data: Path) -> None:
    assert read(trunkline("ledger", "tail", "--data", data, "--json").out) == []
    assert read(trunkline("ledger", "sum", "--data", data, "--json").out) == []
    assert trunkline("ledger", "tail", "--data", data).code == 0


def test_the_ledger_is_read_while_an_exchange_holds_the_folder(trunkline: Command, kept: Path) -> None:
    with DataFolder(kept).hold():
        assert read(trunkline("ledger", "tail", "--data", kept, "--json").out) == []
    assert len(read(trunkline("ledger", "tail", "--data", kept, "--json").out)) == 3


def test_a_call_is_corrected_by_a_line_that_says_why_and_by_whom(trunkline: Command, kept: Path) -> None:
    words = ("--amount", "2.5", "--reason", "the invoice says so", "--by", "ada", "--data", kept)
    assert "now costs 2.500000001 EUR" in trunkline("ledger", "adjust", "req_1", *words).out
    lines = read(trunkline("ledger", "lines", "req_1", "--data", kept, "--json").out)
    assert [line["kind"] for line in lines] == ["settle", "adjust"]
    correction = lines[-1]
    assert (correction["amount"], correction["reason"], correction["by"]) == (
        Decimal("2.5"),
        "the invoice says so",
        "ada",
    )
    assert "adjust" in trunkline("ledger", "lines", "req_1", "--data", kept).out
    assert read(trunkline("ledger", "show", "req_1", "--data", kept, "--json").out)["cost"] == Decimal("2.500000001")


@pytest.mark.parametrize(("amount", "code"), [("0", 2), ("much", 2), ("1e30", 2), ("-5", 1)])
def test_a_correction_that_cannot_be_is_refused(trunkline: Command, kept: Path, amount: str, code: int) -> None:
    words = (f"--amount={amount}", "--reason", "why", "--by", "ada", "--data", kept)
    assert trunkline("ledger", "adjust", "req_1", *words).code == code
    assert trunkline("ledger", "verify", "--data", kept).code == 0


def test_books_that_agree_are_a_yes_and_books_that_differ_a_no_with_the_place(trunkline: Command, kept: Path) -> None:
    done = trunkline("ledger", "verify", "--data", kept)
    assert done.code == 0
    assert "everything agrees" in done.out
    assert read(trunkline("ledger", "verify", "--data", kept, "--json").out) == []
    with closing(sqlite3.connect(kept / "trunkline.db")) as store:
        store.execute("UPDATE attempts SET cost = cost + 7 WHERE request = 'req_1'")
        store.commit()
    done = trunkline("ledger", "verify", "--data", kept, "--json")
    assert done.code == 1
    assert {row["where"] for row in read(done.out)} == {"attempt", "roll-up"}
    assert "req_1" in trunkline("ledger", "verify", "--data", kept).out
