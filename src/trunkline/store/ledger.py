from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, Text, bindparam, cast, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from trunkline import errors
from trunkline.ids import JournalId
from trunkline.metering.bound import MOST_MONEY
from trunkline.metering.lines import Adjustment, Kind, LineRow, Verified
from trunkline.metering.ports import SUM_KEYS, Span, SumRow, TrialRow, Voice
from trunkline.metering.records import AttemptRow, Entry, Intent, Settlement, Status
from trunkline.money import bare
from trunkline.store.names import Place
from trunkline.store.posting import FACTS, FIRST_ADJUSTMENT, Books, Facts, Posting, facts_of_row, place_of
from trunkline.store.rows import (
    SETTLEMENT_NAMES,
    attempt_row,
    held_values,
    intent_values,
    lease_values,
    settlement_values,
)
from trunkline.store.schema import accounts, attempts, drained, lines, prices, strays
from trunkline.store.sessions import Sessions, together, upsert
from trunkline.store.settle_leases import LeaseSettler
from trunkline.store.spent_outside import SPENDING, Outside
from trunkline.store.sums import sums
from trunkline.store.telling import Silence, Work, watched
from trunkline.store.trials import trials
from trunkline.store.verify import CHECKS, Check, verify

AttemptKey = tuple[str, int]
Begun = tuple[JournalId, Intent]

# A statement takes a bounded number of parameters: 32,766 in SQLite.
CHUNK = 1_000

COMPARED = "comparing all that is kept ready with the lines; with millions of calls this takes minutes"

_still_open = attempts.c.settled_at.is_(None)
_to_json = msgspec.json.Encoder().encode
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Settlement).decode


class Ledger:
    """The ledger's part of the store: implements `metering.ports.LedgerStore`.

    An attempt is one row, keyed by (request, attempt), which is minted once. Its intent makes the row, its settlement
    fills the rest once, and either of them read again changes nothing: every order, batching and repetition of the same
    records ends in the same rows. A settlement read before its intent waits among the strays.

    Attributes:
        checks: what `verify` compares; other parts of the store add theirs.
    """

    def __init__(self, sessions: Sessions) -> None:
        engine = sessions.engine
        dialect = engine.dialect
        self._sessions = sessions
        self._books = Books(engine)
        self._leases = LeaseSettler(engine)
        self._outside = Outside(engine)
        self.checks: tuple[Check, ...] = CHECKS
        # Plain tuples to the driver: SQLAlchemy's own handling of each parameter would double the cost of draining.
        self._insert = str(attempts.insert().compile(dialect=dialect))
        settle = update(attempts).values({name: bindparam(f"_{name}") for name in SETTLEMENT_NAMES})
        settle = settle.where(attempts.c.request == bindparam("_request"), attempts.c.attempt == bindparam("_attempt"))
        self._settle = str(settle.compile(dialect=dialect))
        self._stray = upsert(engine, strays).on_conflict_do_nothing()
        position = upsert(engine, drained)
        position = position.on_conflict_do_update(
            index_elements=["journal"], set_={"position": position.excluded.position}
        )
        self._position = str(position.compile(dialect=dialect))
        self._named = str(_KNOWN.where(_NAMED[dialect.name]).with_for_update().compile(dialect=dialect))

    def book(self, entries: Sequence[Entry], drained: Mapping[JournalId, int] | None = None) -> None:
        """Book journal records and, in the same transaction, up to where their journals were read."""
        self._sessions.write(lambda connection: self._book(connection, entries, drained)).kept()

    def _book(
        self, connection: Connection, entries: Sequence[Entry], drained: Mapping[JournalId, int] | None
    ) -> Posting:
        intents: dict[AttemptKey, Begun] = {}
        settlements: dict[AttemptKey, Settlement] = {}
        for entry in entries:
            record = entry.record
            if isinstance(record, Intent):
                intents.setdefault((record.request, record.attempt), (entry.journal, record))
            else:
                settlements.setdefault((record.request, record.attempt), record)
        posting = Posting(self._books)
        together(connection, SPENDING)
        if drained:  # First: it locks the journals' rows, so that nobody books the same records meanwhile.
            connection.exec_driver_sql(self._position, sorted(drained.items()))
        known = self._known(connection, {key[0] for key in intents.keys() | settlements.keys()})
        fresh = {key: begun for key, begun in intents.items() if key not in known} if known else intents
        settlements |= _take_strays(connection, fresh)
        self._begin(connection, posting, fresh, settlements)
        self._end(connection, posting, known, settlements)
        _note_repeats(posting, known, fresh)
        for row, amount in self._outside.find(connection, posting.moved):
            posting.paid[row,] += amount
        self._leases.settle(connection, posting.paid)
        posting.write(connection)
        return posting

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
        open_ones = (attempts.c.journal == journal, _still_open)
        lost = (
            update(attempts)
            .where(*open_ones)
            .values(
                status=Status.LOST.value,
                settled_at=at,
                latency=at - attempts.c.at,
                error="the exchange ended before the attempt was settled",
            )
        )

        def lose(connection: Connection) -> tuple[Posting, int]:
            posting = Posting(self._books)
            rows = connection.execute(select(*FACTS).where(*open_ones).with_for_update()).all()
            for row in rows:
                posting.lose(facts_of_row(row), at)
            connection.execute(lost)
            self._leases.settle(connection, posting.paid)
            posting.write(connection)
            return posting, len(rows)

        posting, count = self._sessions.write(lose)
        posting.kept()
        return count

    def adjust(self, adjustment: Adjustment, at: int) -> int:
        """Correct what a settled attempt costs, by a line of its own; return what it costs now.

        Raises:
            errors.Unknown: there is no such attempt.
            errors.Malformed: it is not settled yet, or would cost less than nothing or more than can be kept.
        """
        which = (attempts.c.request == adjustment.request, attempts.c.attempt == adjustment.attempt)
        posting = Posting(self._books)
        with self._sessions.writing() as connection:
            found = select(*FACTS, attempts.c.cost, attempts.c.settled_at).where(*which)
            row = connection.execute(found.with_for_update()).first()
            if row is None:
                message = f"the ledger has no attempt {adjustment.attempt} of {adjustment.request}"
                raise errors.Unknown(message, code="attempt_not_found")
            cost = int(row.cost) + adjustment.amount
            if row.settled_at is None or not 0 <= cost <= MOST_MONEY:
                costs = f"costs {bare(row.cost)}, no {'more' if cost < 0 else 'less'}"
                why = "is not settled yet" if row.settled_at is None else costs
                message = f"attempt {adjustment.attempt} of {adjustment.request} {why}: it cannot be adjusted so"
                raise errors.Malformed(message, param="amount")
            last = select(func.max(lines.c.number)).where(
                lines.c.request == adjustment.request, lines.c.attempt == adjustment.attempt
            )
            number = max(connection.execute(last).scalar_one() or 0, FIRST_ADJUSTMENT - 1) + 1
            connection.execute(update(attempts).where(*which).values(cost=cost))
            posting.adjust(facts_of_row(row), number, at, adjustment)
            posting.write(connection)
        posting.kept()
        return cost

    def lines(self, request: str) -> tuple[LineRow, ...]:
        """Return the lines of one call in the order of its attempts; empty when there is no such call."""
        debit, credit = accounts.alias("debit_account"), accounts.alias("credit_account")
        wanted = (
            select(
                lines.c.request,
                lines.c.attempt,
                lines.c.number,
                lines.c.at,
                lines.c.kind,
                debit.c.name.label("debit"),
                credit.c.name.label("credit"),
                lines.c.amount,
                debit.c.currency,
                prices.c.version.label("price_version"),
                lines.c.reason,
                lines.c.by,
            )
            .select_from(
                lines.join(debit, debit.c.id == lines.c.debit)
                .join(credit, credit.c.id == lines.c.credit)
                .join(prices, prices.c.id == lines.c.price)
            )
            .where(lines.c.request == request)
            .order_by(lines.c.attempt, lines.c.number)
        )
        rows = self._sessions.rows(wanted)
        return tuple(LineRow(**row._asdict() | {"kind": Kind(row.kind)}) for row in rows)

    def verify(self, voice: Voice | None = None) -> Verified:
        """Rebuild from the lines all that is kept ready besides them, and compare; `voice` says how that goes on."""
        work = Work("")
        watching = watched(work, "comparing", voice or Silence(), COMPARED)
        with watching, self._sessions.snapshot(patient=True) as connection:
            return verify(connection, self.checks, work)

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

    def trials(self, span: Span, use_case: str | None) -> tuple[TrialRow, ...]:
        """Return how splits and shadows fared; those of one use case, or of all."""
        with self._sessions.snapshot() as connection:
            return trials(connection, span, use_case)

    def sums(self, by: Sequence[str], span: Span) -> tuple[SumRow, ...]:
        """Return sums grouped by some of SUM_KEYS, dearest first; none where there are no attempts.

        Raises:
            errors.Malformed: `by` names something else, or something twice.
        """
        wrong = [name for name in by if name not in SUM_KEYS]
        if wrong or len(set(by)) != len(by):
            message = f"cannot sum by {', '.join(wrong or by)}: choose from {', '.join(SUM_KEYS)}, each once"
            raise errors.Malformed(message, param="by")
        # Sums by key over a year of millions of calls take longer than other statements may.
        with self._sessions.snapshot(patient=True) as connection:
            return sums(connection, by, span)

    def _known(self, connection: Connection, requests: Collection[str]) -> dict[AttemptKey, Known]:
        """Return what the ledger has of some calls, locked."""
        named: Any = list(requests)
        if connection.dialect.name == "sqlite":
            named = _to_json(named).decode()
        rows = connection.exec_driver_sql(self._named, (named,))
        return {(row[0], row[1]): Known(facts_of_row(row), bool(row[-1])) for row in rows}

    def _begin(
        self,
        connection: Connection,
        posting: Posting,
        intents: Mapping[AttemptKey, Begun],
        settlements: dict[AttemptKey, Settlement],
    ) -> None:
        """Make the rows of attempts that are new, with those settlements that are theirs, which it takes out."""
        rows = []
        for key, (journal, intent) in intents.items():
            settlement = settlements.pop(key, None)
            if settlement is None:
                rows.append(intent_values(journal, intent) + held_values(intent) + lease_values(intent))
                posting.open(intent)
            else:
                rows.append(intent_values(journal, intent) + settlement_values(settlement) + lease_values(intent))
                posting.whole(intent, settlement)
        if rows:
            connection.exec_driver_sql(self._insert, rows)

    def _end(
        self,
        connection: Connection,
        posting: Posting,
        known: Mapping[AttemptKey, Known],
        settlements: Mapping[AttemptKey, Settlement],
    ) -> None:
        filled, unknown = [], []
        for key, record in settlements.items():
            attempt = known.get(key)
            if attempt is None:
                unknown.append({"request": key[0], "attempt": key[1], "settlement": _encode(record)})
            elif attempt.is_open:
                filled.append((*settlement_values(record), *key))
                posting.end(attempt.facts, record)
        if filled:
            connection.exec_driver_sql(self._settle, filled)
        if unknown:
            connection.execute(self._stray, unknown)


class Known(NamedTuple):
    """An attempt that the ledger has."""

    facts: Facts
    is_open: bool


_KNOWN = select(*FACTS, _still_open)
_NAMED = {
    "sqlite": attempts.c.request.in_(text("SELECT value FROM json_each(:requests)")),
    "postgresql": attempts.c.request == func.any(cast(bindparam("requests"), ARRAY(Text))),
}


def _note_repeats(posting: Posting, known: Mapping[AttemptKey, Known], fresh: Mapping[AttemptKey, Begun]) -> None:
    """Note the attempts of those calls that have several by now."""
    calls = {request for request, _ in fresh}
    if len(calls) == len(fresh) and calls.isdisjoint(request for request, _ in known):
        return
    of_call: dict[str, list[tuple[int, int, Place]]] = {}
    for (request, attempt), (_, intent) in fresh.items():
        of_call.setdefault(request, []).append((attempt, intent.at, place_of(intent)))
    for (request, attempt), there in known.items():
        if request in calls:
            of_call[request].append((attempt, there.facts.at, there.facts.place))
    for request, several in of_call.items():
        if len(several) > 1:
            for one in several:
                posting.repeat(request, *one)


_ANY_STRAY = "SELECT attempt FROM strays LIMIT 1"
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


def _take_strays(connection: Connection, intents: Collection[AttemptKey]) -> dict[AttemptKey, Settlement]:
    """Take out of the strays what belongs to these intents."""
    if not intents or connection.exec_driver_sql(_ANY_STRAY).first() is None:
        return {}
    taken = {(row.request, row.attempt): _decode(row.settlement) for row in _found(connection, _waiting, intents)}
    for request, attempt in taken:
        connection.execute(delete(strays).where(strays.c.request == request, strays.c.attempt == attempt))
    return taken
