from __future__ import annotations

import getpass
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from trunkline.app.applied import applied_estate, load_applied
from trunkline.cli.attempts import attempt_cells, attempt_json, attempts_page, call_json, call_view
from trunkline.cli.folder import open_books
from trunkline.cli.following import Follower
from trunkline.cli.ledger_lines import difference_json, differences_table, in_words, line_json, lines_table
from trunkline.cli.moments import ago
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, StoreUrl
from trunkline.cli.output import Column, Page, console, money, print_json, row_json
from trunkline.cli.sums import CURRENCY, part_currencies, sum_json, sum_keys, sum_table
from trunkline.clock import SystemClock, iso
from trunkline.metering.leases import LeaseId as Lease
from trunkline.metering.lines import Adjustment
from trunkline.metering.ports import SUM_KEYS, LeaseRow, LedgerStore, Span
from trunkline.money import Nano, bare, to_nano
from trunkline.store.telling import Stderr

POLL_SECONDS = 0.25

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Read, check and correct the ledger.")

Count = Annotated[int, typer.Option("-n", "--count", min=1, max=100_000, help="How many attempts.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with each attempt that is settled, until Ctrl-C.")]
RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request id, from `x-trunkline-request-id`.")]
CallOrBudget = Annotated[str, typer.Argument(metavar="ID", help="A request id, or a budget's name.")]
By = Annotated[str, typer.Option("--by", metavar="KEYS", help=f"Parted by commas: {', '.join(SUM_KEYS)}.")]
Since = Annotated[
    str | None, typer.Option("--since", help="A span such as `24h`, a date (from its start, here), or a time.")
]
LeaseId = Annotated[
    str | None, typer.Argument(metavar="LEASE", help="Which lease.", show_default="lists those that are frozen")
]
Spent = Annotated[bool | None, typer.Option("--spent/--unspent", help="Count it as spent, or free it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
Until = Annotated[str | None, typer.Option("--until", help="The same; what began then is left out.")]

Amount = Annotated[
    str,
    typer.Option("--amount", metavar="AMOUNT", help="By how much, in the estate's currency: `-0.25` makes it less."),
]
Who = Annotated[str, typer.Option("--by", metavar="NAME", help="Who says so; it is kept with the line.")]
Resolver = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides; it is kept.", show_default="your login")
]
AttemptNumber = Annotated[int, typer.Option("--attempt", min=1, help="Which attempt of the call.")]

MOST_AMOUNT = 1 << 62


@app.command()
def tail(
    *,
    count: Count = 20,
    follow: Follow = False,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print the newest attempts, oldest of them first. With `--follow --json`, one JSON object per line."""
    with open_books(data, store) as books:
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
def show(request: RequestId, *, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Print one call with its attempts."""
    with open_books(data, store) as books:
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
    *,
    by: By = "unit",
    since: Since = None,
    until: Until = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
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
    with open_books(data, store) as books:
        summed = books.ledger.sums(tuple(dict.fromkeys((*keys, CURRENCY))), span)
    keys, rows, currency = part_currencies(keys, summed)
    if as_json:
        print_json([sum_json(row) for row in rows])
    elif rows:
        shown = console()
        shown.print(sum_table(keys, rows, currency, shown.width))
    else:
        console().print("the ledger has nothing there")


@app.command()
def resolve(
    lease: LeaseId = None,
    *,
    spent: Spent = None,
    reason: Reason = "",
    by: Resolver = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """List the leases that are frozen with workers that are gone; or resolve one whose journal is lost for good.

    A journal that is still there resolves them by itself when an exchange starts on its folder. What a lost one held
    nobody can know: `--spent` counts all of it, `--unspent` frees it for others. If the journal turns up after all,
    what it tells is booked, and counts once.
    """
    with open_books(data, store) as books:
        frozen = [row for row in books.leases.open_leases() if row.lease.frozen(SystemClock.now())]
        if lease is None:
            _list_frozen(frozen, as_json=as_json)
            return
        if spent is None or not reason:
            raise typer.BadParameter("say --spent or --unspent, and why with --reason")
        resolved = books.leases.resolve(Lease(lease), spent=spent, reason=reason, by=by or getpass.getuser())
    what = "counted as spent" if spent else "freed"
    if as_json:
        print_json({"lease": resolved.id, "amount": money(resolved.room), "spent": spent})
    else:
        console().print(f"lease {resolved.id}: {bare(resolved.room)} {what}")


def _list_frozen(frozen: list[LeaseRow], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "lease": row.lease.id,
                    "budget": row.allowance.name,
                    "period": iso(row.allowance.period.starts),
                    "amount": money(row.lease.room),
                    "since": iso(row.lease.expires),
                    "journal": row.lease.journal,
                }
                for row in frozen
            ]
        )
    elif frozen:
        shown = console()
        columns = (Column("lease"), Column("budget"), Column("amount", number=True), Column("since"), Column("journal"))
        cells = [
            (row.lease.id, row.allowance.name, bare(row.lease.room), iso(row.lease.expires), row.lease.journal)
            for row in frozen
        ]
        shown.print(Page(columns, shown.width).more(cells))
    else:
        console().print("no lease is frozen")


@app.command("lines")
def show_lines(
    request: CallOrBudget, *, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Print the lines of one call: what was set aside, released, paid and corrected, from which account to which.

    Of a budget, such as unit:marketing/month: who raised it, or resolved a lease of it, when and why.
    """
    with open_books(data, store) as books:
        lines = books.ledger.lines(request) or books.ledger.lines(f"{request}/{_declared_currency(data, books.ledger)}")
    if not lines:
        sys.stderr.write(f"trunkline: the ledger has no lines of a call {request}\n")
        raise typer.Exit(1)
    if as_json:
        print_json([line_json(line) for line in lines])
    else:
        shown = console()
        shown.print(lines_table(lines, shown.width))


@app.command()
def adjust(
    request: RequestId,
    *,
    amount: Amount,
    reason: Reason,
    by: Who,
    attempt: AttemptNumber = 1,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
) -> None:
    """Correct what a call cost, by a line of its own; nothing that was written changes."""
    change = _amount(amount)
    with open_books(data, store) as books:
        correction = Adjustment(request, attempt, change, reason.strip(), by.strip())
        cost = books.ledger.adjust(correction, SystemClock.now())
        currency = _currency(books.ledger)
    console().print(f"attempt {attempt} of {request} now costs {bare(cost)} {currency}")


@app.command()
def verify(*, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Rebuild balances and sums from the lines and compare. Exit code 1 where something differs; says what."""
    with open_books(data, store) as books:
        found = books.ledger.verify(Stderr())
    if as_json:
        print_json([difference_json(one) for one in found.differences])
    else:
        shown = console()
        if found.differences:
            shown.print(differences_table(found.differences, shown.width))
        shown.print(in_words(found))
    if found.differences:
        raise typer.Exit(1)


def _amount(text: str) -> int:
    try:
        amount = to_nano(Decimal(text))
    except (ArithmeticError, ValueError):
        amount = Nano(0)
    if not amount or abs(amount) > MOST_AMOUNT:
        raise typer.BadParameter(f"{text!r} is not an amount such as -0.25 or 1.5", param_hint="--amount")
    return amount


def _currency(ledger: LedgerStore) -> str:
    newest = ledger.tail(1)
    return newest[0].currency if newest else ""


def _declared_currency(data: Path, ledger: LedgerStore) -> str:
    """The applied estate's currency; where none was applied, that of the newest attempt."""
    folder = data.expanduser()
    return _currency(ledger) if applied_estate(folder) is None else load_applied(folder).estate.currency


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
