"""Names that stand in many rows, kept once and told by a number: accounts, cells of roll-ups, price versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Table, select

from trunkline.store.schema import accounts, cells, day_cells, prices
from trunkline.store.sessions import upsert

Name = tuple[str, ...]


class Numbers:
    """The numbers of one table's names, remembered once they are committed."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._columns = [column for column in table.c if column.name not in {"id", "balance"}]
        self._table = table
        self._insert = upsert(engine, table).on_conflict_do_nothing()
        self._known: dict[Name, int] = {}

    def of(self, connection: Connection, name: Name, fresh: dict[Name, int]) -> int:
        """Return the number of a name, giving it one if it has none.

        `fresh` takes those that count only if the transaction is kept: hand them to `keep` then.
        """
        number = self._known.get(name) or fresh.get(name)
        if number is None:
            values: dict[str, Any] = {column.name: part for column, part in zip(self._columns, name, strict=True)}
            found = select(self._table.c.id).where(*(self._table.c[key] == part for key, part in values.items()))
            number = connection.execute(found).scalar_one_or_none()
            if number is None:
                if "balance" in self._table.c:
                    values["balance"] = 0
                connection.execute(self._insert, values)
                number = int(connection.execute(found).scalar_one())
            fresh[name] = number
        return number

    def keep(self, fresh: dict[Name, int]) -> None:
        """Remember numbers whose transaction was kept."""
        self._known.update(fresh)


class Names:
    """All the names of one store."""

    def __init__(self, engine: Engine) -> None:
        self.accounts = Numbers(engine, accounts)
        self.cells = Numbers(engine, cells)
        self.day_cells = Numbers(engine, day_cells)
        self.prices = Numbers(engine, prices)
