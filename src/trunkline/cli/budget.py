from __future__ import annotations

import getpass
import secrets
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.text import Text

from trunkline.app.applied import load_applied
from trunkline.cli.folder import open_books
from trunkline.cli.moments import ahead
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, StoreUrl
from trunkline.cli.output import Column, Page, console, facts, money, print_json
from trunkline.clock import SystemClock, as_datetime, iso
from trunkline.config.faults import suggestion
from trunkline.errors import Unstartable
from trunkline.metering.budgets import Budgets, Stands, compile_budgets
from trunkline.metering.leases import Allowance
from trunkline.metering.ports import LeaseStore, Raise, Standing
from trunkline.money import MOST_UNITS, bare, to_nano

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Say how budgets stand; raise one for a while.")

Name = Annotated[str, typer.Argument(metavar="BUDGET", help="Such as unit:marketing/month, as `list` has it.")]
By = Annotated[str, typer.Option("--by", metavar="AMOUNT", help="How much more, in the estate's currency.")]
Until = Annotated[str, typer.Option("--until", help="A span such as `7d`, a date (its end counts), or a time.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]
Approver = Annotated[str | None, typer.Option("--approver", help="Who allowed it.", show_default="your login")]

_COLUMNS = (
    Column("budget"),
    Column("kind", rank=2),
    Column("limit", number=True),
    Column("spent", number=True),
    Column("held", rank=1, number=True),
    Column("left", number=True),
    Column("begins anew", rank=3),
)


class Known(msgspec.Struct, frozen=True):
    """A declared budget, and how it stands in its period."""

    stands: Stands
    standing: Standing

    @property
    def name(self) -> str:
        """What people call it."""
        return self.stands.account.name.rpartition("/")[0]

    @property
    def limit(self) -> int:
        """Its limit, with temporary increases."""
        return self.standing.allowance.limit + self.standing.allowance.raised

    @property
    def left(self) -> int:
        """What nobody has spent or holds; never below zero."""
        return max(self.standing.allowance.left, 0)

    @property
    def anew(self) -> str:
        """When it begins anew, in its own zone."""
        ends = as_datetime(self.standing.allowance.period.ends)
        return ends.astimezone(ZoneInfo(self.stands.zone)).isoformat(timespec="minutes")


@app.command("list")
def list_budgets(*, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List the budgets of the applied estate: limit, spent, held, left, and when each begins anew."""
    with open_books(data, store) as books:
        known = _known(data, books.leases)
    if as_json:
        print_json([_row(one) for one in known])
    elif known:
        shown = console()
        shown.print(Page(_COLUMNS, shown.width).more([_cells(one) for one in known]))
    else:
        console().print("the estate declares no budgets")


@app.command()
def show(name: Name, *, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Show one budget, with its temporary increases and the leases that workers have of it."""
    with open_books(data, store) as books:
        one = _find(_known(data, books.leases), name)
        raises = [each for each in books.leases.raised() if each.allowance == one.stands.account.name]
        now = SystemClock.now()
        of = (one.stands.account.name, one.standing.allowance.period.starts)
        leases = [
            row.lease for row in books.leases.open_leases() if (row.allowance.name, row.allowance.period.starts) == of
        ]
    if as_json:
        more = [{**msgspec.structs.asdict(each), "amount": money(each.amount)} for each in raises]
        held = [{"lease": each.id, "left": money(each.room), "frozen": each.frozen(now)} for each in leases]
        print_json(_row(one) | {"raises": more, "leases": held})
        return
    shown = console()
    row = {
        name.replace("_", " "): str(value) for name, value in _row(one).items() if not isinstance(value, msgspec.Raw)
    }
    amounts = {"limit": one.limit, "spent": one.standing.allowance.settled, "left": one.left}
    shown.print(facts(row | {name: f"{bare(amount)} {one.stands.currency}" for name, amount in amounts.items()}))
    for each in raises:
        until = "ended" if each.ends <= now else "until"
        shown.print(Text(f"+{bare(each.amount)} {until} {iso(each.ends)}, by {each.approver}: {each.reason}"))
    for held_lease in leases:
        state = "frozen: its worker is gone" if held_lease.frozen(now) else "held by a worker"
        shown.print(Text(f"lease {held_lease.id}: {bare(held_lease.room)} {state}"))


@app.command("raise")
def raise_budget(  # noqa: PLR0913 - one for each option
    name: Name,
    *,
    by: By,
    until: Until,
    reason: Reason,
    approver: Approver = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Raise a budget for a while. A running exchange grants by it from its next grant on; the file stays as it is.

    Budgets above it bind as before.
    """
    now = SystemClock.now()
    with open_books(data, store) as books:
        one = _find(_known(data, books.leases), name)
        made = Raise(
            id=secrets.token_hex(6),
            allowance=one.stands.account.name,
            amount=_amount(by),
            starts=now,
            ends=_end(until, one.stands.zone),
            reason=reason,
            approver=approver if approver is not None else getpass.getuser(),
            made_at=now,
        )
        books.leases.raise_limit(made)
        after = _find(_known(data, books.leases), name)
    if as_json:
        print_json(_row(after) | {"id": made.id})
    else:
        said = f"{after.name} is raised by {bare(made.amount)} to {bare(after.limit)} {one.stands.currency}"
        console().print(Text(f"{said} until {iso(made.ends)}"))


def _amount(text: str) -> int:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no amount; write one such as 250 or 0.50", param_hint="--by") from None
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text} must be more than 0: a limit is lowered in the estate", param_hint="--by")
    if amount > MOST_UNITS or not to_nano(amount):
        message = f"{text} is not between 0.000000001 and {MOST_UNITS:,}, which the ledger can hold"
        raise typer.BadParameter(message, param_hint="--by")
    return to_nano(amount)


def _end(text: str, zone: str) -> int:
    try:
        return ahead(text, datetime.now(UTC), ZoneInfo(zone))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--until") from None


def _known(data: Path, leases: LeaseStore) -> list[Known]:
    now = SystemClock.now()
    declared: Budgets = compile_budgets(load_applied(data.expanduser()).estate, now)
    stand = leases.standings()
    there = {}
    for one in declared:
        mine = [each for each in stand if each.allowance.name == one.account.name and one.has(each.allowance.period)]
        if mine:
            there[one.account.name] = _as_declared(mine[-1], one)
    more: dict[str, int] = {}
    for each in leases.raised():
        if each.starts <= now < each.ends:
            more[each.allowance] = more.get(each.allowance, 0) + each.amount
    return [
        Known(one, there.get(one.account.name) or _untouched(one, now, more.get(one.account.name, 0)))
        for one in declared
    ]


def _as_declared(standing: Standing, one: Stands) -> Standing:
    """How a budget stands by the limit that is declared now, which the store hears of with the next call."""
    allowance = msgspec.structs.replace(standing.allowance, limit=one.account.limit, hard=one.account.hard)
    return msgspec.structs.replace(standing, allowance=allowance)


def _untouched(one: Stands, now: int, raised: int) -> Standing:
    """How a budget stands of which nobody has asked for anything yet in its period."""
    account = one.account
    period = account.period_at(now)
    return Standing(Allowance(account.name, period, account.limit, account.hard, now, raised), 0, 0)


def _find(known: list[Known], name: str) -> Known:
    for one in known:
        if name in (one.name, one.stands.account.name):
            return one
    hint = suggestion(name, [one.name for one in known])
    raise Unstartable(f'there is no budget "{name}"{hint or "; `trunkline budget list` lists them"}')


def _row(one: Known) -> dict[str, Any]:
    allowance = one.standing.allowance
    return {
        "budget": one.name,
        "kind": "hard" if one.stands.account.hard else "soft",
        "currency": one.stands.currency,
        "limit": money(one.limit),
        "raised": money(allowance.raised),
        "spent": money(allowance.settled),
        "held": money(allowance.leased),
        "frozen": money(one.standing.frozen),
        "left": money(one.left),
        "begins_anew": one.anew,
        "time_zone": one.stands.zone,
        "ask": one.stands.owner,
    }


def _cells(one: Known) -> tuple[str, ...]:
    allowance = one.standing.allowance
    kind = "hard" if one.stands.account.hard else "soft"
    numbers = (one.limit, allowance.settled, allowance.leased, one.left)
    return (one.name, kind, *map(bare, numbers), one.anew)
