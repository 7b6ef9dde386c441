"""Whether allowances stand as their leases say, and leases as the lines of the attempts that were held in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, String, and_, case, func, literal, or_, select, true

from trunkline.metering.lines import Difference, Kind
from trunkline.store.schema import allowances, attempts, leases, lines
from trunkline.store.spent_outside import BEFORE
from trunkline.store.sweep_leases import PAST
from trunkline.store.verify import MOST, Check, Reach, Stretch, by_request


def allowances_as_leases(connection: Connection, _: Reach) -> Iterator[Difference]:
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


def leases_as_lines(connection: Connection, reach: Reach) -> Iterator[Difference]:
    """What was settled in a lease, but for what was counted ahead by hand, is what its attempts cost when they ended.

    Corrections change the books, not what a budget has spent.
    """
    rows = connection.execute(select(leases.c.id, leases.c.settled, leases.c.ahead)).all()
    there = {lease for lease, *_ in rows}
    kept = {lease: settled - ahead for lease, settled, ahead in rows if not lease.startswith((PAST, BEFORE))}
    past = sum(settled for lease, settled, _ in rows if lease.startswith(PAST))
    told, gone = Counter[str](), 0
    for stretch in by_request(connection, reach):
        for lease, cost in connection.execute(_told(connection, stretch)):
            if lease in there:
                told[lease] += int(cost)
            else:
                gone += int(cost)
    for lease in sorted(kept):
        if kept[lease] != told[lease]:
            yield Difference("lease", lease, f"settled {kept[lease]}", f"settled {told[lease]}")
    if past != gone:
        yield Difference("lease", "all that were taken out", f"settled {past}", f"settled {gone}")


def _told(connection: Connection, stretch: Stretch) -> Select[Any]:
    """What the attempts of a stretch cost when they ended, by the leases that they were held in."""
    of_attempt = and_(lines.c.request == attempts.c.request, lines.c.attempt == attempts.c.attempt)
    named = _named_leases(connection)
    ended = lines.c.kind.in_((Kind.SETTLE, Kind.OVERRUN))
    told = select(named.c.value, func.sum(lines.c.amount)).select_from(
        attempts.join(lines, of_attempt).join(named, true())
    )
    told = told.where(attempts.c.leases.is_not(None), ended, *(stretch.of(one.c.request) for one in (attempts, lines)))
    return told.group_by(named.c.value)


LEASE_CHECKS: tuple[Check, ...] = (allowances_as_leases, leases_as_lines)


def _named_leases(connection: Connection) -> Any:
    """The leases that an attempt was held in, one in each row; its column holds them parted by blanks."""
    if connection.dialect.name == "postgresql":
        return func.unnest(func.string_to_array(attempts.c.leases, " ")).table_valued("value").render_derived()
    as_json = literal('["', String) + func.replace(attempts.c.leases, " ", '","') + '"]'
    return func.json_each(as_json).table_valued("value")


def _stands(settled: int, leased: int) -> str:
    return f"settled {int(settled)}, leased {int(leased)}"
