"""Whether allowances stand as their leases say, and leases as the lines of the attempts that were held in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, String, and_, case, func, literal, or_, select, true

from trunkline.metering.lines import Difference, Kind
from trunkline.store.schema import allowances, attempts, leases, lines
from trunkline.store.spent_before import BEFORE
from trunkline.store.sweep_leases import PAST
from trunkline.store.verify import MOST, Check


def allowances_as_leases(connection: Connection) -> Iterator[Difference]:
    """What is settled of an allowance is what was settled in its leases; what is leased, what they have beyond that."""
    room = case((leases.c.amount > leases.c.settled, leases.c.amount - leases.c.settled), else_=0)
    rebuilt = (
        select(
            leases.c.allowance,
            leases.c.starts,
            func.sum(leases.c.settled).label("settled"),
            func.sum(room).label("leased"),
        )
        .where(leases.c.known, leases.c.allowance != "")
        .group_by(leases.c.allowance, leases.c.starts)
        .subquery()
    )
    same = and_(rebuilt.c.allowance == allowances.c.name, rebuilt.c.starts == allowances.c.starts)
    settled, leased = (func.coalesce(rebuilt.c[name], 0) for name in ("settled", "leased"))
    found = (
        select(allowances.c.name, allowances.c.starts, allowances.c.settled, allowances.c.leased, settled, leased)
        .select_from(allowances.outerjoin(rebuilt, same))
        .where(or_(allowances.c.settled != settled, allowances.c.leased != leased))
        .order_by(allowances.c.name, allowances.c.starts)
    )
    for row in connection.execute(found.limit(MOST)):
        yield Difference("allowance", f"{row[0]} from {row[1]}", _stands(row[2], row[3]), _stands(row[4], row[5]))
    orphans = select(rebuilt.c.allowance, rebuilt.c.starts, rebuilt.c.settled, rebuilt.c.leased)
    orphans = orphans.select_from(rebuilt.outerjoin(allowances, same)).where(allowances.c.name.is_(None))
    for name, starts, *sums in connection.execute(orphans.limit(MOST)):
        yield Difference("allowance", f"{name} from {starts}", "no allowance", _stands(*sums))


def leases_as_lines(connection: Connection) -> Iterator[Difference]:
    """What was settled in a lease, but for what was counted ahead by hand, is what its attempts cost when they ended.

    Corrections change the books, not what a budget has spent.
    """
    of_attempt = and_(lines.c.request == attempts.c.request, lines.c.attempt == attempts.c.attempt)
    named = _named_leases(connection)
    told = (
        select(named.c.value.label("lease"), func.sum(lines.c.amount).label("cost"))
        .select_from(attempts.join(lines, of_attempt).join(named, true()))
        .where(attempts.c.leases.is_not(None), lines.c.kind.in_((Kind.SETTLE, Kind.OVERRUN)))
        .group_by(named.c.value)
        .subquery()
    )
    cost = func.coalesce(told.c.cost, 0)
    settled = leases.c.settled - leases.c.ahead
    found = select(leases.c.id, settled, cost).select_from(leases.outerjoin(told, told.c.lease == leases.c.id))
    found = found.where(settled != cost, ~leases.c.id.startswith(PAST), ~leases.c.id.startswith(BEFORE))
    for lease, kept, should in connection.execute(found.order_by(leases.c.id).limit(MOST)):
        yield Difference("lease", lease, f"settled {int(kept)}", f"settled {int(should)}")
    gone = select(func.coalesce(func.sum(told.c.cost), 0))
    gone = gone.select_from(told.outerjoin(leases, leases.c.id == told.c.lease)).where(leases.c.id.is_(None))
    past = select(func.coalesce(func.sum(leases.c.settled), 0)).where(leases.c.id.startswith(PAST))
    should, kept = (int(connection.execute(statement).scalar_one()) for statement in (gone, past))
    if kept != should:
        yield Difference("lease", "all that were taken out", f"settled {kept}", f"settled {should}")


LEASE_CHECKS: tuple[Check, ...] = (allowances_as_leases, leases_as_lines)


def _named_leases(connection: Connection) -> Any:
    """The leases that an attempt was held in, one in each row; its column holds them parted by blanks."""
    if connection.dialect.name == "postgresql":
        return func.unnest(func.string_to_array(attempts.c.leases, " ")).table_valued("value").render_derived()
    as_json = literal('["', String) + func.replace(attempts.c.leases, " ", '","') + '"]'
    return func.json_each(as_json).table_valued("value")


def _stands(settled: int, leased: int) -> str:
    return f"settled {int(settled)}, leased {int(leased)}"
