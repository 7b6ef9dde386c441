"""Names that stand in many rows, kept once and told by a number: accounts, cells of roll-ups, price versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, select

from trunkline.store.schema import accounts, cells, key_cells, prices
from trunkline.store.sessions import upsert

Name = tuple[str, ...]

Place = tuple[str, ...]
"""What attempts share that stand in the same rows of the books: unit, cost centre, use case, deployment, boundary,
pattern, model, key, currency, price version."""

_KEY = 7
_PRICE = 9
MOST_REMEMBERED = 100_000
"""Names of a sort that are remembered; beyond that all are forgotten, and asked for again."""


class Standing(NamedTuple):
    """The numbers of a place's names: the accounts that take and give what is paid, price version, and both cells."""

    taker: int
    giver: int
    price: int
    cell: int
    key_cell: int


def payers(place: Place) -> tuple[Name, Name]:
    """The accounts that take and give what attempts of a place cost."""
    return ((f"cost:{place[1]}/{place[0]}", place[8]), (f"owed:{place[4]}", place[8]))


def holders(place: Place) -> tuple[Name, Name]:
    """The accounts that take and give what is set aside for open attempts of a place."""
    return ((f"held:{place[1]}/{place[0]}", place[8]), (f"reserved:{place[4]}", place[8]))


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
        if len(self._known) > MOST_REMEMBERED:
            self._known.clear()
        self._known.update(fresh)


class Names:
    """All the names of one store."""

    def __init__(self, engine: Engine) -> None:
        self.accounts = Numbers(engine, accounts)
        self.cells = Numbers(engine, cells)
        self.key_cells = Numbers(engine, key_cells)
        self.prices = Numbers(engine, prices)
        self.standings: dict[Place, Standing] = {}


class Naming:
    """The names that one transaction uses. What it gives numbers to is remembered once it is `kept`."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._accounts: dict[Name, int] = {}
        self._cells: dict[Name, int] = {}
        self._key_cells: dict[Name, int] = {}
        self._prices: dict[Name, int] = {}
        self._standings: dict[Place, Standing] = {}

    def standings(
        self, connection: Connection, places: Collection[Place], others: Iterable[Name]
    ) -> tuple[dict[Place, Standing], dict[Name, int]]:
        """Return the numbers of places, and of other accounts; those that have none are given one.

        In one order, whoever does it, so that several exchanges wait for each other and never in a ring.
        """
        names = self._names
        found = {place: names.standings.get(place) for place in places}
        fresh = sorted(place for place, standing in found.items() if standing is None)
        wanted = {account for place in fresh for account in payers(place)}.union(others)
        account = {name: names.accounts.of(connection, name, self._accounts) for name in sorted(wanted)}
        keyless = sorted({_keyless(place) for place in fresh})
        cell = {name: names.cells.of(connection, name, self._cells) for name in keyless}
        key_cell = {place: names.key_cells.of(connection, place[:_PRICE], self._key_cells) for place in fresh}
        versions = sorted({place[_PRICE] for place in fresh})
        price = {name: names.prices.of(connection, (name,), self._prices) for name in versions}
        for place in fresh:
            taker, giver = payers(place)
            self._standings[place] = Standing(
                account[taker], account[giver], price[place[_PRICE]], cell[_keyless(place)], key_cell[place]
            )
        numbered = {place: standing or self._standings[place] for place, standing in found.items()}
        return numbered, account

    def price(self, connection: Connection, version: str) -> int:
        """Return the number of a price version."""
        return self._names.prices.of(connection, (version,), self._prices)

    def kept(self) -> None:
        """Take notice that the transaction was kept."""
        names = self._names
        names.accounts.keep(self._accounts)
        names.cells.keep(self._cells)
        names.key_cells.keep(self._key_cells)
        names.prices.keep(self._prices)
        if len(names.standings) > MOST_REMEMBERED:
            names.standings.clear()
        names.standings.update(self._standings)


def _keyless(place: Place) -> Name:
    return place[:_KEY] + place[_KEY + 1 : _PRICE]
