from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from trunkline.cli.folder import open_books
from trunkline.cli.moments import ago
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, StoreUrl
from trunkline.cli.output import Column, Page, console, money, print_json
from trunkline.metering.ports import Span, TrialRow
from trunkline.money import bare

_MILLISECOND = 1_000_000
_COLUMNS = (
    Column("use case", rank=6),
    Column("trial"),
    Column("arm"),
    Column("calls", number=True),
    Column("errors", number=True),
    Column("cost", number=True),
    Column("in", rank=3, number=True),
    Column("out", rank=3, number=True),
    Column("ms p50", rank=1, number=True),
    Column("p95", rank=4, number=True),
    Column("first byte p50", rank=2, number=True),
    Column("p95", rank=5, number=True),
)

app = typer.Typer(add_completion=False)

UseCase = Annotated[str | None, typer.Argument(metavar="USE_CASE", help="Whose trials.", show_default="those of all")]
Since = Annotated[str, typer.Option("--since", help="A span such as `24h`, a date (from its start, here), or a time.")]
Until = Annotated[str | None, typer.Option("--until", help="The same; what began then is left out.")]


@app.command()
def trials(
    use_case: UseCase = None,
    *,
    since: Since = "7d",
    until: Until = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Compare the arms of splits, and copies with their originals.

    Errors are attempts that failed or broke; times are of those that ended well.
    """
    now = datetime.now(UTC)
    try:
        span = Span(since=ago(since, now), until=None if until is None else ago(until, now))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    with open_books(data, store) as books:
        rows = books.ledger.trials(span, use_case)
    if as_json:
        print_json([_json(row) for row in rows])
    elif rows:
        shown = console()
        shown.print(Page(_COLUMNS, shown.width).more([_cells(row) for row in rows]))
    else:
        console().print("nothing was tried out there")


def _json(row: TrialRow) -> dict[str, Any]:
    return {
        "use_case": row.use_case,
        "kind": row.kind,
        "trial": row.trial,
        "arm": row.arm,
        "calls": row.calls,
        "attempts": row.attempts,
        "errors": row.errors,
        "cost": money(row.cost),
        "tokens_input": row.tokens_input,
        "tokens_cached": row.tokens_cached,
        "tokens_output": row.tokens_output,
        "tokens_reasoning": row.tokens_reasoning,
        "latency_ms_p50": _milliseconds(row.latency_p50),
        "latency_ms_p95": _milliseconds(row.latency_p95),
        "first_byte_ms_p50": _milliseconds(row.first_byte_p50),
        "first_byte_ms_p95": _milliseconds(row.first_byte_p95),
    }


def _cells(row: TrialRow) -> list[str]:
    times = (row.latency_p50, row.latency_p95, row.first_byte_p50, row.first_byte_p95)
    return [
        row.use_case,
        f"{row.kind} {row.trial}",
        row.arm,
        str(row.calls),
        str(row.errors),
        bare(row.cost),
        str(row.tokens_input),
        str(row.tokens_output),
        *("" if one is None else str(one // _MILLISECOND) for one in times),
    ]


def _milliseconds(nanos: int | None) -> float | None:
    return None if nanos is None else round(nanos / _MILLISECOND, 3)
