from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, case, delete, distinct, func, select, update

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.metering.leases import LeaseId
from trunkline.metering.ports import SUM_KEYS, Span, SumRow
from trunkline.metering.records import AttemptRow, Entry, Intent, Settlement, Status
from trunkline.store.lease_table import add_up, settle_leases
from trunkline.store.rows import (
    SETTLEMENT_NAMES,
    attempt_row,
    held_values,
    intent_values,
    lease_values,
    settlement_values,
)
from trunkline.store.schema import attempts, drained, strays
from trunkline.store.sessions import Sessions, upsert

AttemptKey = tuple[str, int]

# A statement takes a bounded number of parameters: 32,766 in SQLite.
CHUNK = 1_000

_columns = {name: attempts.c.model_sent if name == "model" else attempts.c[name] for name in SUM_KEYS}
_still_open = attempts.c.settled_at.is_(None)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Settlement).decode


class Ledger:
    """The ledger's part of the store: implements `metering.ports.LedgerStore`.

    An attempt is one row, keyed by (request, attempt), which is minted once. Its intent makes the row, its settlement
    fills the rest once, and either of them read again changes nothing: every order, batching and repetition of the same
    records ends in the same rows. A settlement read before its intent waits among the strays.
    """

    def __init__(self, sessions: Sessions) -> None:
        dialect = sessions.engine.dialect
        self._sessions = sessions
        whole = upsert(sessions.engine, attempts)
        whole = whole.on_conflict_do_update(
            index_elements=["request", "attempt"],
            set_={name: whole.excluded[name] for name in SETTLEMENT_NAMES},
            where=_still_open,
        )
        # Plain tuples to the driver: SQLAlchemy's own handling of each parameter would double the cost of draining.
        self._whole = str(whole.compile(dialect=dialect))
        self._begun = str(upsert(sessions.engine, attempts).on_conflict_do_nothing().compile(dialect=dialect))
        self._stray = upsert(sessions.engine, strays).on_conflict_do_nothing()
        self._settle = (
            update(attempts)
            .where(
                attempts.c.request == bindparam("_request"), attempts.c.attempt == bindparam("_attempt"), _still_open
            )
            .values({name: bindparam(name) for name in SETTLEMENT_NAMES})
        )
        position = upsert(sessions.engine, drained)
        self._position = position.on_conflict_do_update(
            index_elements=["journal"], set_={"position": position.excluded.position}
        )

    def book(self, entries: Sequence[Entry], drained: Mapping[JournalId, int] | None = None) -> None:
        """Book journal records and, in the same transaction, up to where their journals were read."""
        intents: dict[AttemptKey, tuple[Entry, Intent]] = {}
        settlements: dict[AttemptKey, Settlement] = {}
        for entry in entries:
            record = entry.record
            if isinstance(record, Intent):
                intents.setdefault((record.request, record.attempt), (entry, record))
            else:
                settlements.setdefault((record.request, record.attempt), record)
        with self._sessions.writing() as connection:
            if drained:  # First: it locks the journal's row, so that nobody else books the same records meanwhile.
                rows = [{"journal": journal, "position": offset} for journal, offset in drained.items()]
                connection.execute(self._position, rows)
            settlements |= _take_strays(connection, intents)
            costs = _costs_by_lease(connection, intents, settlements)
            self._begin(connection, intents, settlements)
            self._end(connection, {key: record for key, record in settlements.items() if key not in intents})
            settle_leases(connection, costs)

    def drained(self) -> dict[JournalId, int]:
        """Return up to which byte each journal was read and booked."""
        rows = self._sessions.rows(select(drained.c.journal, drained.c.position))
        return {JournalId(journal): position for journal, position in rows}

    def forget(self, journal: JournalId) -> None:
        """Drop the drained position of a journal whose file is gone."""
        with self._sessions.writing() as connection:
            connection.execute(delete(drained).where(drained.c.journal == journal))

    def open_attempts(self, journal: JournalId) -> int:
        """Count the attempts of a journal that are not settled yet."""
        rows = self._sessions.rows(select(func.count()).where(attempts.c.journal == journal, _still_open))
        return int(rows[0][0])

    def strays(self) -> int:
        """Count the settlements whose intents were never read."""
        return int(self._sessions.rows(select(func.count()).select_from(strays))[0][0])

    def close_lost(self, journal: JournalId, at: int) -> int:
        """Settle the open attempts of a journal whose worker is gone: lost, at their holds. Return how many."""
        lost = (
            update(attempts)
            .where(attempts.c.journal == journal, _still_open)
            .values(
                status=Status.LOST.value,
                settled_at=at,
                latency=at - attempts.c.at,
                error="the exchange ended before the attempt was settled",
            )
        )
        held = select(attempts.c.leases, attempts.c.cost).where(
            attempts.c.journal == journal, _still_open, attempts.c.leases.is_not(None)
        )
        with self._sessions.writing() as connection:
            costs = add_up((row.leases, row.cost) for row in connection.execute(held))
            count = connection.execute(lost).rowcount
            settle_leases(connection, costs)
        return count

    def tail(self, count: int, after: int | None = None) -> tuple[AttemptRow, ...]:
        """Return the newest attempts, oldest of them first; with `after`, only those begun after that time."""
        newest = select(attempts).order_by(attempts.c.at.desc(), attempts.c.request.desc(), attempts.c.attempt.desc())
        if after is not None:
            newest = newest.where(attempts.c.at > after)
        return tuple(attempt_row(row) for row in reversed(self._sessions.rows(newest.limit(count))))

    def attempts(self, request: str) -> tuple[AttemptRow, ...]:
        """Return the attempts of one call in order; empty when there is no such call."""
        rows = self._sessions.rows(select(attempts).where(attempts.c.request == request).order_by(attempts.c.attempt))
        return tuple(attempt_row(row) for row in rows)

    def sums(self, by: Sequence[str], span: Span) -> tuple[SumRow, ...]:
        """Return sums grouped by some of SUM_KEYS, dearest first; none where there are no attempts.

        Raises:
            errors.Malformed: `by` names something else, or something twice.
        """
        wrong = [name for name in by if name not in _columns]
        if wrong or len(set(by)) != len(by):
            message = f"cannot sum by {', '.join(wrong or by)}: choose from {', '.join(SUM_KEYS)}, each once"
            raise errors.Malformed(message, param="by")
        return tuple(
            SumRow(dict(zip(by, row[: len(by)], strict=True)), *map(int, row[len(by) :]))
            for row in self._sessions.rows(_sums(by, span))
            if row[len(by)]
        )

    def _begin(
        self,
        connection: Connection,
        intents: Mapping[AttemptKey, tuple[Entry, Intent]],
        settlements: Mapping[AttemptKey, Settlement],
    ) -> None:
        whole, begun = [], []
        for key, (entry, intent) in intents.items():
            settlement = settlements.get(key)
            if settlement is None:
                begun.append(intent_values(entry, intent) + held_values(intent) + lease_values(intent))
            else:
                whole.append(intent_values(entry, intent) + settlement_values(settlement) + lease_values(intent))
        if whole:
            connection.exec_driver_sql(self._whole, whole)
        if begun:
            connection.exec_driver_sql(self._begun, begun)

    def _end(self, connection: Connection, settlements: Mapping[AttemptKey, Settlement]) -> None:
        known = {(row.request, row.attempt) for row in _found(connection, _known, settlements)}
        filled, unknown = [], []
        for key, record in settlements.items():
            if key in known:
                values = dict(zip(SETTLEMENT_NAMES, settlement_values(record), strict=True))
                filled.append(values | {"_request": key[0], "_attempt": key[1]})
            else:
                unknown.append({"request": key[0], "attempt": key[1], "settlement": _encode(record)})
        if filled:
            connection.execute(self._settle, filled)
        if unknown:
            connection.execute(self._stray, unknown)


_known = select(attempts.c.request, attempts.c.attempt)
_held = select(attempts.c.request, attempts.c.attempt, attempts.c.leases).where(
    _still_open, attempts.c.leases.is_not(None)
)
_waiting = select(strays.c.request, strays.c.attempt, strays.c.settlement)


def _found(connection: Connection, wanted: Select[Any], keys: Collection[AttemptKey]) -> Iterator[Row[Any]]:
    """Select those of the attempts that are there, a bounded number at a time.

    By request alone: for pairs SQLite would read the whole table.
    """
    request = next(iter(wanted.selected_columns))
    names = list({key[0] for key in keys})
    for start in range(0, len(names), CHUNK):
        for row in connection.execute(wanted.where(request.in_(names[start : start + CHUNK]))):
            if (row.request, row.attempt) in keys:
                yield row


def _costs_by_lease(
    connection: Connection,
    intents: Mapping[AttemptKey, tuple[Entry, Intent]],
    settlements: Mapping[AttemptKey, Settlement],
) -> dict[LeaseId, int]:
    """Sum, by their leases, what attempts cost that are settled now and were not before."""
    here = {
        key: " ".join(intent.leases) for key, (_, intent) in intents.items() if intent.leases and key in settlements
    }
    settled = {(row.request, row.attempt) for row in _found(connection, _known.where(~_still_open), here)}
    costs = [(leases, settlements[key].cost) for key, leases in here.items() if key not in settled]
    elsewhere = settlements.keys() - intents.keys()
    costs += [(row.leases, settlements[row.request, row.attempt].cost) for row in _found(connection, _held, elsewhere)]
    return add_up(costs)


def _take_strays(connection: Connection, intents: Collection[AttemptKey]) -> dict[AttemptKey, Settlement]:
    """Take out of the strays what belongs to these intents."""
    if not intents or connection.execute(select(strays.c.attempt).limit(1)).first() is None:
        return {}
    taken = {(row.request, row.attempt): _decode(row.settlement) for row in _found(connection, _waiting, intents)}
    for request, attempt in taken:
        connection.execute(delete(strays).where(strays.c.request == request, strays.c.attempt == attempt))
    return taken


def _sums(by: Sequence[str], span: Span) -> Select[Any]:
    groups = [_columns[name] for name in by]
    cost = func.sum(attempts.c.cost).label("sum_of_cost")
    sums = select(
        *groups,
        func.count(distinct(attempts.c.request)),
        func.count(),
        func.sum(case((attempts.c.estimated, 1), else_=0)),
        cost,
        func.sum(attempts.c.tokens_input),
        func.sum(attempts.c.tokens_cached),
        func.sum(attempts.c.tokens_cache_write),
        func.sum(attempts.c.tokens_output),
        func.sum(attempts.c.tokens_reasoning),
    ).select_from(attempts)
    if span.since is not None:
        sums = sums.where(attempts.c.at >= span.since)
    if span.until is not None:
        sums = sums.where(attempts.c.at < span.until)
    return sums.group_by(*groups).order_by(cost.desc(), *groups)
