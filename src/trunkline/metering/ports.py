"""What metering asks of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from trunkline.ids import JournalId
from trunkline.metering.leases import Allowance, Answer, Ask, Lease, LeaseId
from trunkline.metering.lines import Adjustment, LineRow, Verified
from trunkline.metering.records import AttemptRow, Entry

SUM_KEYS = (
    "unit", "cost_centre", "use_case", "deployment", "boundary", "pattern", "model", "key", "person", "end_customer",
    "currency",
)  # fmt: skip


class Span(msgspec.Struct, frozen=True):
    """A half-open span of time, in nanoseconds since 1970; None leaves an end open."""

    since: int | None = None
    until: int | None = None


class Voice(Protocol):
    """Says how a long work goes on.

    Attributes:
        every: seconds between words.
    """

    every: float

    def say(self, line: str, share: float | None = None) -> None:
        """Say a line; with how much of the work is done, from 0 to 1, where that is known."""
        ...


class SumRow(msgspec.Struct, frozen=True):
    """Sums over the attempts that share the values in `by`, in the order asked for. Open attempts count at their hold.

    `calls` counts request ids, `estimated` the attempts whose usage is not the upstream's own.
    """

    by: dict[str, str | None]
    calls: int
    attempts: int
    estimated: int
    cost: int
    tokens_input: int
    tokens_cached: int
    tokens_cache_write: int
    tokens_output: int
    tokens_reasoning: int


class TrialRow(msgspec.Struct, frozen=True):
    """How one arm of a split fared, or the copies of a shadow, or the calls that these are copies of.

    Attributes:
        kind: `split` or `shadow`.
        trial: its name.
        arm: of a split, a model or deployment; of a shadow `copy` or `original`.
        errors: attempts that failed or broke.
        latency_p50: nanoseconds, like the others, of attempts that ended well; None where there are none.
    """

    use_case: str
    kind: str
    trial: str
    arm: str
    calls: int
    attempts: int
    errors: int
    cost: int
    tokens_input: int
    tokens_cached: int
    tokens_output: int
    tokens_reasoning: int
    latency_p50: int | None
    latency_p95: int | None
    first_byte_p50: int | None
    first_byte_p95: int | None


class LedgerStore(Protocol):
    """Where the ledger is kept. Implemented by the store; every method is one transaction."""

    @property
    def shared(self) -> bool:
        """Whether exchanges with data folders of their own may work on the same store."""
        ...

    def book(self, entries: Sequence[Entry], drained: Mapping[JournalId, int] | None = None) -> None:
        """Book journal records, each exactly once, however often it is handed in and in whatever batches and order.

        `drained` says up to which byte the journals were read; it is kept in the same transaction.
        """
        ...

    def drained(self) -> dict[JournalId, int]:
        """Return up to which byte each journal was read and booked."""
        ...

    def forget(self, journal: JournalId) -> None:
        """Drop the drained position of a journal whose file is gone."""
        ...

    def open_attempts(self, journal: JournalId) -> int:
        """Count the attempts of a journal that are not settled yet."""
        ...

    def strays(self) -> int:
        """Count the settlements whose intents were never read, as after damage to a journal; no sum has them."""
        ...

    def close_lost(self, journal: JournalId, at: int) -> int:
        """Settle the open attempts of a journal whose worker is gone: lost, at their holds. Return how many."""
        ...

    def close_leases(self, journal: JournalId) -> int:
        """Free what is left in the leases of a journal that is wholly booked and will not be written again.

        Return how much that was.
        """
        ...

    def adjust(self, adjustment: Adjustment, at: int) -> int:
        """Correct what a settled attempt costs, by a line of its own; return what it costs now.

        Raises:
            errors.Unknown: there is no such attempt.
            errors.Malformed: it is not settled yet, or would cost less than nothing or more than can be kept.
        """
        ...

    def lines(self, request: str) -> tuple[LineRow, ...]:
        """Return the lines of one call in the order of its attempts; empty when there is no such call."""
        ...

    def verify(self, voice: Voice | None = None) -> Verified:
        """Rebuild from the lines all that is kept ready besides them, and compare; `say` hears how it goes on."""
        ...

    def tail(self, count: int, after: int | None = None) -> tuple[AttemptRow, ...]:
        """Return the newest attempts, oldest of them first; with `after`, only those begun after that time."""
        ...

    def attempts(self, request: str) -> tuple[AttemptRow, ...]:
        """Return the attempts of one call in order; empty when there is no such call."""
        ...

    def trials(self, span: Span, use_case: str | None) -> tuple[TrialRow, ...]:
        """Return how splits and shadows fared; those of one use case, or of all."""
        ...

    def sums(self, by: Sequence[str], span: Span) -> tuple[SumRow, ...]:
        """Return sums grouped by some of SUM_KEYS, dearest first."""
        ...


class LeaseRow(msgspec.Struct, frozen=True):
    """A lease and the allowance it is of."""

    lease: Lease
    allowance: Allowance


class Standing(msgspec.Struct, frozen=True):
    """How an allowance stands in the period that is now, or in one that is over.

    Attributes:
        frozen: what of `leased` lies in leases that have lapsed.
        warned: how many of its thresholds the operator was told of.
        warned_before: the same of the period before.
        seen: what was settled when somebody looked last after the period's end; None where nobody did.
    """

    allowance: Allowance
    frozen: int
    warned: int
    warned_before: int = 0
    seen: int | None = None


class Raise(msgspec.Struct, frozen=True):
    """A temporary increase of an allowance: by so much, from when until before when, why, and who allowed it."""

    id: str
    allowance: str
    amount: int
    starts: int
    ends: int
    reason: str
    approver: str
    made_at: int


class LeaseStore(Protocol):
    """Where leases are granted. Implemented by the store; every method is one transaction."""

    def ask(self, asks: Sequence[Ask]) -> tuple[Answer, ...]:
        """Heed what workers ask for, all of it or none; one answer for each, in order."""
        ...

    def short(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of these allowances of which somebody went without a moment ago. Cheap."""
        ...

    def allowances(self) -> tuple[Allowance, ...]:
        """Return every allowance in each of its periods, oldest first."""
        ...

    def standings(self) -> tuple[Standing, ...]:
        """Return how allowances stand whose periods are now, by the store's clock."""
        ...

    def late_standings(self) -> tuple[Standing, ...]:
        """Return how allowances stand that changed since somebody looked, of periods over for 30 days at most."""
        ...

    def note_seen(self, standing: Standing) -> None:
        """Note that somebody has looked at an allowance whose period is over, as it stands."""
        ...

    def warn_once(self, name: str, starts: int, before: int, count: int) -> bool:
        """Note that so many thresholds are passed in place of so many before; return whether nobody else did."""
        ...

    def next_declaration(self) -> int:
        """Return when a declaration comes into force: the store's time, and always later than any before.

        So a newer declaration is known as such, whatever the clocks of exchanges and store say.
        """
        ...

    def raise_limit(self, one: Raise) -> None:
        """Keep a temporary increase, with a line; it is in force with the next grant.

        Raises:
            errors.Malformed: with those before it would be more than can be kept.
        """
        ...

    def raised(self) -> tuple[Raise, ...]:
        """Return all temporary increases ever made, oldest first."""
        ...

    def open_leases(self) -> tuple[LeaseRow, ...]:
        """Return the leases that have something left, frozen ones among them."""
        ...

    def sweep(self, most: int) -> int:
        """Take out so many leases at most to which nothing can come any more; return how many it was.

        What was settled in them stays settled in their allowances.
        """
        ...

    def resolve(self, lease: LeaseId, *, spent: bool, reason: str, by: str) -> Lease:
        """Free what a lapsed lease has left, or count it as spent, by a line; return the lease as it was.

        Raises:
            errors.Unknown: there is no such lease with anything left, or it has not lapsed.
        """
        ...
