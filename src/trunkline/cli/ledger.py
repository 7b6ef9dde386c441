from __future__ import annotations

import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from trunkline.cli.attempts import attempt_cells, attempt_json, attempts_page, call_json, call_view
from trunkline.cli.folder import open_books
from trunkline.cli.following import Follower
from trunkline.cli.moments import ago
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data
from trunkline.cli.output import console, print_json, row_json
from trunkline.cli.sums import sum_json, sum_keys, sum_table
from trunkline.metering.ports import SUM_KEYS, LedgerStore, Span

POLL_SECONDS = 0.25

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Read the ledger: the newest attempts, one call, or sums."
)

Count = Annotated[int, typer.Option("-n", "--count", min=1, max=100_000, help="How many attempts.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with each attempt that is settled, until Ctrl-C.")]
RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request id, from `x-trunkline-request-id`.")]
By = Annotated[str, typer.Option("--by", metavar="KEYS", help=f"Parted by commas: {', '.join(SUM_KEYS)}.")]
Since = Annotated[
    str | None, typer.Option("--since", help="A span such as `24h`, a date (from its start, here), or a time.")
]
Until = Annotated[str | None, typer.Option("--until", help="The same; what began then is left out.")]


@app.command()
def tail(*, count: Count = 20, follow: Follow = False, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Print the newest attempts, oldest of them first. With `--follow --json`, one JSON object per line."""
    with open_books(data) as books:
        if follow:
            with suppress(KeyboardInterrupt):
                _follow(Follower(books.ledger, count), as_json=as_json)
            return
        rows = books.ledger.tail(count)
    if as_json:
        print_json([attempt_json(row) for row in rows])
    elif rows:
        shown = console()
        shown.print(attempts_page(shown.width).more([attempt_cells(row) for row in rows]))
    else:
        console().print("the ledger is empty")


@app.command()
def show(request: RequestId, *, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Print one call with its attempts."""
    with open_books(data) as books:
        rows = books.ledger.attempts(request)
    if not rows:
        sys.stderr.write(f"trunkline: the ledger has no call {request}\n")
        raise typer.Exit(1)
    if as_json:
        print_json(call_json(rows))
    else:
        console().print(call_view(rows))


@app.command("sum")
def sum_up(
    *, by: By = "unit", since: Since = None, until: Until = None, data: Data = DEFAULT_DATA, as_json: AsJson = False
) -> None:
    """Print sums of calls, tokens and cost. Attempts that are still open count at their hold."""
    now = datetime.now(UTC)
    try:
        keys = sum_keys(by)
        span = Span(
            since=None if since is None else ago(since, now),
            until=None if until is None else ago(until, now),
        )
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    with open_books(data) as books:
        rows = books.ledger.sums(keys, span)
        currency = _currency(books.ledger)
    if as_json:
        print_json([sum_json(row) for row in rows])
    elif rows:
        shown = console()
        shown.print(sum_table(keys, rows, currency, shown.width))
    else:
        console().print("the ledger has nothing there")


def _currency(ledger: LedgerStore) -> str:
    newest = ledger.tail(1)
    return newest[0].currency if newest else ""


def _follow(follower: Follower, *, as_json: bool) -> None:
    shown = console()
    page = attempts_page(shown.width)
    while True:
        fresh = follower.fresh()
        if as_json:
            sys.stdout.writelines(row_json(attempt_json(row)) + "\n" for row in fresh)
            sys.stdout.flush()
        elif fresh:
            shown.print(page.more([attempt_cells(row) for row in fresh]))
        time.sleep(POLL_SECONDS)
