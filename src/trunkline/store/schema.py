"""The store's tables. Money is billionths of the estate's currency, times are nanoseconds since 1970, durations too."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    event,
    false,
    text,
)

HEAD = "0017"
"""The revision that these tables are; `migrations/` lead here from every earlier one."""

metadata = MetaData()

SUMMED = (
    "attempts",
    "estimated",
    "cost",
    "tokens_input",
    "tokens_cached",
    "tokens_cache_write",
    "tokens_output",
    "tokens_reasoning",
)
"""What roll-ups sum, in the order of their columns."""


def _sums() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in SUMMED]


attempts = Table(
    "attempts",
    metadata,
    # The intent. Booked before its settlement, it counts at its hold and its bound.
    Column("request", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("cost_centre", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("end_customer", Text),
    Column("deployment", Text, nullable=False),
    Column("boundary", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("model_asked", Text, nullable=False),
    Column("model_sent", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("data_class", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("hold", BigInteger, nullable=False),
    Column("journal", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    # The settlement.
    Column("status", Text, nullable=False),
    Column("settled_at", BigInteger),
    Column("http_status", Integer, nullable=False),
    Column("tokens_input", BigInteger, nullable=False),
    Column("tokens_cached", BigInteger, nullable=False),
    Column("tokens_cache_write", BigInteger, nullable=False),
    Column("tokens_output", BigInteger, nullable=False),
    Column("tokens_reasoning", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("model_served", Text, nullable=False),
    Column("first_byte", BigInteger),
    Column("latency", BigInteger),
    Column("error", Text, nullable=False),
    # The leases that it was held in, parted by blanks.
    Column("leases", Text),
    # Which split and arm, or which shadow, an attempt belongs to; most belong to none.
    Column("trial", Text),
    # Whose key it was, where it was issued to one person.
    Column("person", Text),
)
Index("attempts_at", attempts.c.at)
Index(
    "attempts_trial",
    attempts.c.trial,
    attempts.c.at,
    sqlite_where=attempts.c.trial.is_not(None),
    postgresql_where=attempts.c.trial.is_not(None),
)
Index(
    "attempts_open",
    attempts.c.journal,
    sqlite_where=attempts.c.settled_at.is_(None),
    postgresql_where=attempts.c.settled_at.is_(None),
)

Index(
    "attempts_of_customers",
    attempts.c.end_customer,
    attempts.c.at,
    sqlite_where=attempts.c.end_customer.is_not(None),
    postgresql_where=attempts.c.end_customer.is_not(None),
)

Index(
    "attempts_of_persons",
    attempts.c.person,
    attempts.c.at,
    sqlite_where=attempts.c.person.is_not(None),
    postgresql_where=attempts.c.person.is_not(None),
)

strays = Table(
    "strays",
    metadata,
    # Settlements that were read before their intent; each joins it when it comes.
    Column("request", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("settlement", LargeBinary, nullable=False),
)

drained = Table(
    "drained",
    metadata,
    Column("journal", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    # What lines move amounts between, in one currency; the balance is what lines took it less what they gave.
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance", BigInteger, nullable=False),
    UniqueConstraint("name", "currency"),
)

prices = Table(
    "prices",
    metadata,
    # Versions of prices, named once.
    Column("id", Integer, primary_key=True),
    Column("version", Text, nullable=False, unique=True),
)

lines = Table(
    "lines",
    metadata,
    # Double entry, only ever added. The number within an attempt says what a line is: there cannot be two settlements.
    Column("request", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("debit", Integer, nullable=False),
    Column("credit", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("price", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text),
    sqlite_with_rowid=False,
)

CELL = ("unit", "cost_centre", "use_case", "deployment", "boundary", "pattern", "model")
"""What all roll-ups are kept apart by, besides the currency."""


def _cells(name: str, *names: str) -> Table:
    columns = [Column(one, Text, nullable=False) for one in names]
    return Table(name, metadata, Column("id", Integer, primary_key=True), *columns, UniqueConstraint(*names))


def _rollups(name: str, bucket: str) -> Table:
    which = [Column(one, Integer, primary_key=True) for one in (bucket, "cell")]
    return Table(name, metadata, *which, *_sums(), sqlite_with_rowid=False)


# Roll-ups are sums over attempts by when they began: the hour, day or month since 1970 (UTC). Open attempts count at
# their hold. Those apart by key, too, are tables of their own, so that the others stay few where many keys are busy.
cells = _cells("cells", *CELL, "currency")
hours, days, months = (_rollups(f"{bucket}s", bucket) for bucket in ("hour", "day", "month"))
key_cells = _cells("key_cells", *CELL, "key", "currency")
key_days, key_months = (_rollups(f"key_{bucket}s", bucket) for bucket in ("day", "month"))

repeats = Table(
    "repeats",
    metadata,
    # The attempts of calls that have several, each with its cell with the key, so that calls can be counted without
    # reading all attempts.
    Column("request", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("cell", Integer, nullable=False),
    sqlite_with_rowid=False,
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("unit", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("use_cases", Text, nullable=False),
    Column("networks", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("successor", Text),
    Column("label", Text, nullable=False),
    Column("person", Text),
)

claims = Table(
    "claims",
    metadata,
    # Versions of claims that were verified after the estate was written; the claim itself as JSON.
    Column("deployment", Text, primary_key=True),
    Column("control", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("claim", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
)

allowances = Table(
    "allowances",
    metadata,
    # A limit in one of its periods. What is settled and leased of it together never exceeds it, if it is hard.
    Column("name", Text, primary_key=True),
    Column("starts", BigInteger, primary_key=True),
    Column("ends", BigInteger, nullable=False),
    Column("limit", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("declared_at", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("leased", BigInteger, nullable=False),
    Column("short_at", BigInteger, nullable=False),
    Column("warned", Integer, nullable=False),
    # Where it was declared within its period: attempts that began before this time and are in no lease of it count
    # too. Which attempts it is of, as JSON.
    Column("counts_until", BigInteger),
    Column("covers", Text),
    # What was settled when somebody looked last after the period's end.
    Column("seen", BigInteger),
)
Index(
    "allowances_late",
    allowances.c.counts_until,
    sqlite_where=allowances.c.counts_until.is_not(None),
    postgresql_where=allowances.c.counts_until.is_not(None),
)

leases = Table(
    "leases",
    metadata,
    # What a worker may use up by itself. Without an allowance: read in a journal, and not asked for yet.
    Column("id", Text, primary_key=True),
    Column("allowance", Text, nullable=False),
    Column("starts", BigInteger, nullable=False),
    Column("journal", Text, nullable=False, index=True),
    Column("version", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("ahead", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("known", Boolean, nullable=False),
    Column("resolved", Text, nullable=False),
)
Index("leases_of", leases.c.allowance, leases.c.starts)

raises = Table(
    "raises",
    metadata,
    # Temporary increases of an allowance.
    Column("id", Text, primary_key=True),
    Column("allowance", Text, nullable=False, index=True),
    Column("amount", BigInteger, nullable=False),
    Column("starts", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)

windows = Table(
    "windows",
    metadata,
    # A limit in one of its windows, and what of it exchanges were given; never more than the limit.
    Column("name", Text, primary_key=True),
    Column("starts", BigInteger, primary_key=True),
    Column("ends", BigInteger, nullable=False),
    Column("granted", BigInteger, nullable=False),
)

slots = Table(
    "slots",
    metadata,
    # What workers hold of limits on calls at once, until when; all that has not lapsed is never more than the limit.
    Column("name", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    # The units whose calls wait for a slot there, as JSON: each with its weight and how many calls.
    Column("waiting", Text),
)

alerts = Table(
    "alerts",
    metadata,
    # What webhooks are told, each once: to be sent from `due` on, until there is an outcome.
    Column("id", Text, primary_key=True),
    Column("webhook", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("body", Text, nullable=False),
)
Index(
    "alerts_due",
    alerts.c.due,
    sqlite_where=text("outcome = ''"),
    postgresql_where=text("outcome = ''"),
)

turns = Table(
    "turns",
    metadata,
    # What callers asked and were answered, kept for them until it expires. `size` is of both, in bytes.
    Column("id", Text, primary_key=True),
    Column("before", Text),
    Column("root", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("end_customer", Text),
    Column("data_class", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("dialogue", Text),
    # Of answers that are worked on without their callers: how far they are, who is at it, and until when that holds.
    Column("status", Text, nullable=False, server_default=""),
    Column("worker", Text, nullable=False, server_default=""),
    Column("alive_until", BigInteger, nullable=False, server_default="0"),
    Column("streams", Boolean, nullable=False, server_default=false()),
)
Index("turns_expire", turns.c.expires_at)
UNDER_WAY = text("status = 'in_progress'")
Index("turns_under_way", turns.c.worker, sqlite_where=UNDER_WAY, postgresql_where=UNDER_WAY)
Index("turns_of", turns.c.unit, turns.c.use_case)

turn_items = Table(
    "turn_items",
    metadata,
    # By which ids of items a turn is found; they come and go with it.
    Column("turn", Text, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
)
Index("turn_items_by_id", turn_items.c.id)

errand_events = Table(
    "errand_events",
    metadata,
    # The events of an answer's stream from number `first` to `last`; they come and go with it.
    Column("turn", Text, ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

dialogues = Table(
    "dialogues",
    metadata,
    # Conversations that have an id of their own. `last` is the place of the item that was added last.
    Column("id", Text, primary_key=True),
    Column("unit", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("end_customer", Text),
    Column("data_class", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
)
Index("dialogues_expire", dialogues.c.expires_at)
Index("dialogues_of", dialogues.c.unit, dialogues.c.use_case)

dialogue_items = Table(
    "dialogue_items",
    metadata,
    # `size` is of the content, in bytes.
    Column("dialogue", Text, ForeignKey("dialogues.id", ondelete="CASCADE"), primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("end_customer", Text),
    Column("data_class", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    UniqueConstraint("dialogue", "id"),
)
Index("dialogue_items_by_id", dialogue_items.c.id)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

about = Table(
    "about",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# Lines are only ever added, whoever tries otherwise.
_MESSAGE = "lines are only ever added"
_STAY = "CREATE TRIGGER lines_stay{} BEFORE {} ON lines {}"
_ABORT = f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END"
_RAISE = f"BEGIN RAISE EXCEPTION ''{_MESSAGE}''; END"
LINES_STAY = (
    ("sqlite", _STAY.format("_as_they_are", "UPDATE", _ABORT)),
    ("sqlite", _STAY.format("_for_ever", "DELETE", _ABORT)),
    ("postgresql", f"CREATE FUNCTION lines_stay() RETURNS trigger LANGUAGE plpgsql AS '{_RAISE}'"),
    ("postgresql", _STAY.format("", "UPDATE OR DELETE", "FOR EACH ROW EXECUTE FUNCTION lines_stay()")),
)
for _dialect, _statement in LINES_STAY:
    event.listen(lines, "after_create", DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
