"""Moves what attempts cost from leased to settled, within the transaction that books them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, Text, bindparam, cast, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from trunkline.ids import JournalId
from trunkline.metering import leases as rules
from trunkline.metering.leases import Lease, LeaseId
from trunkline.store.held_leases import NOWHERE, Key, allowance_of, lease_of, values_of
from trunkline.store.schema import allowances, leases
from trunkline.store.sessions import Overtaken

_encode = msgspec.json.Encoder().encode
_CHANGING = ("settled", "leased")
_NAMED = {
    "sqlite": leases.c.id.in_(text("SELECT value FROM json_each(:names)")),
    "postgresql": leases.c.id == func.any(cast(bindparam("names"), ARRAY(Text))),
}


class LeaseSettler:
    """Settles costs in leases, with statements that are compiled once: it is done with every batch of the journal.

    As all who change a lease it first locks the rows of allowances, in the order of their keys, and then those of the
    leases.
    """

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        named = _NAMED[dialect.name]
        one = (allowances.c.name == bindparam("name"), allowances.c.starts == bindparam("starts"))
        changed: dict[str, Any] = {name: bindparam(f"_{name}") for name in _CHANGING}
        of_lease: dict[str, Any] = {name: bindparam(f"_{name}") for name in ("settled", "ahead")}
        statements = (
            select(leases.c.allowance, leases.c.starts).where(named).distinct(),
            select(allowances).where(*one).with_for_update(),
            select(leases).where(named).order_by(leases.c.id).with_for_update(),
            update(allowances).values(changed).where(*one),
            update(leases).values(of_lease).where(leases.c.id == bindparam("_id")),
            insert(leases),
        )
        compiled = (str(statement.compile(dialect=dialect)) for statement in statements)
        self._keys, self._lock, self._read, self._allowance, self._lease, self._insert = compiled
        self._as_json = dialect.name == "sqlite"

    def settle(self, connection: Connection, costs: Mapping[tuple[str, ...], int]) -> None:
        """Settle what attempts cost, by the leases that they were held in.

        A lease that nobody has asked for yet keeps its costs until somebody does: limits that are only watched are
        counted without asking first.

        Raises:
            Overtaken: somebody asked for one of them meanwhile.
        """
        by_lease: dict[str, int] = defaultdict(int)
        for names, cost in costs.items():
            for name in names:
                by_lease[name] += cost
        if not by_lease:
            return
        named = (self._listed(by_lease),)
        keys = sorted((name, starts) for name, starts in connection.exec_driver_sql(self._keys, named) if name)
        locked = {key: allowance_of(connection.exec_driver_sql(self._lock, key).one()) for key in keys}
        there = {row.id: row for row in connection.exec_driver_sql(self._read, named)}
        changed = []
        for name in sorted(by_lease):
            row = there.get(name)
            if row is None:
                _, after = rules.settle(NOWHERE, Lease(LeaseId(name), JournalId(""), known=False), by_lease[name])
                values = values_of(after, ("", 0)) | {"resolved": ""}
                connection.exec_driver_sql(self._insert, tuple(values[column.name] for column in leases.c))
                continue
            key = _key_of(row)
            if key and key not in locked:  # Somebody has asked for it since its key was read.
                raise Overtaken
            allowance, after = rules.settle(locked[key] if key else NOWHERE, lease_of(row), by_lease[name])
            if key:
                locked[key] = allowance
            changed.append((after.settled, after.ahead, name))
        if changed:
            connection.exec_driver_sql(self._lease, changed)
        if keys:
            connection.exec_driver_sql(
                self._allowance, [(locked[key].settled, locked[key].leased, *key) for key in keys]
            )

    def _listed(self, names: Collection[str]) -> Any:
        return _encode(list(names)).decode() if self._as_json else list(names)


def _key_of(row: Row[Any]) -> Key | None:
    return (row.allowance, row.starts) if row.known else None
