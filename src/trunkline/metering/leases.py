"""What a lease is, and the rules by which the store grants, takes back, settles and closes one.

An allowance is a limit on something within a period: money of a unit in a month. Workers do not ask for each call;
each owns one lease per allowance, an amount that it may use up by itself. Always, for each allowance,

    settled + leased <= limit    and    leased = the sum of what the leases have beyond what was settled in them,

so whatever its workers do within their leases, the limit holds. The rules here are plain functions of facts: the store
applies them under a lock on the allowance's row, and a simulation applies the very same ones.

Every message names the lease, which its worker minted, an absolute amount, and a version that grows with each message:
lost, repeated and late messages change nothing that they should not.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import NewType

import msgspec

from trunkline.ids import JournalId
from trunkline.metering.periods import Period

LeaseId = NewType("LeaseId", str)

SHARE = 8
"""What is asked for ahead, beyond what calls wait for, is never more than this part of what is left: slices shrink as
a budget runs out, and no worker takes all of it."""

SHORT_FOR = 3_000_000_000
"""Nanoseconds for which workers are told that somebody went without."""


def mint_lease_id(allowance: str, starts: int) -> LeaseId:
    """Return a random id for a lease of an allowance in the period that begins then; its end tells which it is of."""
    return LeaseId(urlsafe_b64encode(secrets.token_bytes(9)).decode() + mark(allowance, starts))


def mark(allowance: str, starts: int) -> str:
    """Return what the ids of all leases of an allowance in one period end with, also of those nobody has asked for."""
    return urlsafe_b64encode(blake2b(f"{allowance}@{starts}".encode(), digest_size=3).digest()).decode()


class Allowance(msgspec.Struct, frozen=True):
    """An allowance in one period.

    Attributes:
        limit: as declared last; `declared_at` says when, so that an older declaration never replaces a newer one.
        hard: whether the limit is kept; otherwise it is only watched.
        raised: what temporary increases add at the moment.
        settled: what was used up.
        leased: what leases have beyond what was settled in them.
        short_at: when somebody last went without; 0 where nobody did.
    """

    name: str
    period: Period
    limit: int
    hard: bool
    declared_at: int
    raised: int = 0
    settled: int = 0
    leased: int = 0
    short_at: int = 0

    @property
    def left(self) -> int:
        """What can still be leased; below zero where the limit was lowered, or calls cost more than could be held."""
        return self.limit + self.raised - self.settled - self.leased


class Lease(msgspec.Struct, frozen=True):
    """A lease as the store has it.

    Attributes:
        journal: the one journal whose calls are held in it.
        version: of the last message that was heeded.
        amount: what it may use up in all, from its beginning.
        settled: what was settled in it.
        ahead: what was counted as settled by hand, before its journal told.
        expires: when its worker stops using it, unless it is renewed; in nanoseconds since 1970 by the store's clock.
        ended: its worker will not use it again.
        known: whether its worker has registered it; settlements may be read before that.
    """

    id: LeaseId
    journal: JournalId
    version: int = 0
    amount: int = 0
    settled: int = 0
    ahead: int = 0
    expires: int = 0
    ended: bool = False
    known: bool = True

    @property
    def room(self) -> int:
        """What it has beyond what was settled in it."""
        return max(self.amount - self.settled, 0)

    def frozen(self, now: int) -> bool:
        """Whether it lapsed with something in it: that counts as spent until its journal is read."""
        return self.room > 0 and self.expires <= now


class Covers(msgspec.Struct, frozen=True):
    """Which of the ledger's attempts an allowance is of: those of one of these names, in this currency.

    Attributes:
        kind: what is named: `unit`, `use_case`, `deployment`, `boundary`, `key`, `person` or `end_customer`.
    """

    kind: str
    names: tuple[str, ...]
    currency: str


class Ask(msgspec.Struct, frozen=True):
    """What a worker asks of the store for one lease.

    Attributes:
        limit: of the allowance, with `hard` and `declared_at`, as the worker's estate declares it.
        amount: what the lease is to be in all; less than it is gives back.
        due: what it must be for all calls that wait.
        need: what it must be for one of them; a grant that does not reach it is not made.
        lasts: nanoseconds that it is to last.
        final: the worker will not use it again.
        covers: which attempts the allowance is of: where it is declared within its period, those that are in no lease
            of it count as well. None for no others.
    """

    lease: LeaseId
    version: int
    allowance: str
    period: Period
    limit: int
    hard: bool
    declared_at: int
    journal: JournalId
    amount: int
    due: int
    need: int
    lasts: int
    final: bool = False
    covers: Covers | None = None


class Answer(msgspec.Struct, frozen=True):
    """How a lease and its allowance stand after an ask.

    Attributes:
        now: the store's clock.
        others: what other leases have that are not expired: some of it may come back.
        frozen: what those have that are, of workers that are gone: it comes back with their journals.
        short: whether somebody went without a moment ago: give back what you do not need.
    """

    lease: LeaseId
    version: int
    amount: int
    expires: int
    ended: bool
    now: int
    limit: int
    settled: int
    leased: int
    others: int = 0
    short: bool = False
    frozen: int = 0


def declare(allowance: Allowance, ask: Ask) -> Allowance:
    """Return the allowance with the newer of the two declarations of its limit."""
    if ask.declared_at <= allowance.declared_at:
        return allowance
    return msgspec.structs.replace(allowance, limit=ask.limit, hard=ask.hard, declared_at=ask.declared_at)


def adjust(allowance: Allowance, lease: Lease, ask: Ask, now: int) -> tuple[Allowance, Lease]:
    """Return how the allowance and one of its leases stand after an ask; a repeated or late one changes nothing."""
    allowance = declare(allowance, ask)
    if not lease.known:
        lease = msgspec.structs.replace(lease, known=True, journal=ask.journal)
        allowance = msgspec.structs.replace(allowance, settled=allowance.settled + lease.settled)
    if ask.version <= lease.version or lease.ended:
        return allowance, lease
    amount, short_at = ask.amount, allowance.short_at
    if amount > lease.amount and ask.final:  # Of a lease that was taken out meanwhile: it needs nothing any more.
        amount = lease.amount
    elif amount > lease.amount:
        granted = _grant(allowance, lease, ask, now)
        amount = lease.amount + granted
        if granted == 0 and ask.need > lease.amount and allowance.period.holds(now):
            short_at = now
    after = msgspec.structs.replace(lease, version=ask.version, amount=amount, expires=now + ask.lasts, ended=ask.final)
    leased = allowance.leased + after.room - lease.room
    return msgspec.structs.replace(allowance, leased=leased, short_at=short_at), after


def _grant(allowance: Allowance, lease: Lease, ask: Ask, now: int) -> int:
    """How much more a lease gets: nothing outside its period, and nothing that would help no call."""
    wanted = ask.amount - lease.amount
    if not allowance.hard:
        return wanted
    left = allowance.left
    if not allowance.period.holds(now) or left <= 0 or left < ask.need - lease.amount:
        return 0
    return min(wanted, left, max(ask.due - lease.amount, left // SHARE))


def answer(allowance: Allowance, lease: Lease, now: int, others: int = 0, frozen: int = 0) -> Answer:
    """Return what the worker is told."""
    return Answer(
        lease=lease.id,
        version=lease.version,
        amount=lease.amount,
        expires=lease.expires,
        ended=lease.ended,
        now=now,
        limit=allowance.limit + allowance.raised,
        settled=allowance.settled,
        leased=allowance.leased,
        others=others,
        frozen=frozen,
        short=allowance.short_at > 0 and now - allowance.short_at < SHORT_FOR,
    )


def settle(allowance: Allowance, lease: Lease, cost: int) -> tuple[Allowance, Lease]:
    """Move a cost from leased to settled. What goes beyond the lease is settled all the same."""
    absorbed = max(min(cost, lease.ahead), 0)
    cost -= absorbed
    after = msgspec.structs.replace(lease, settled=lease.settled + cost, ahead=lease.ahead - absorbed)
    settled, leased = allowance.settled + cost, allowance.leased + after.room - lease.room
    return msgspec.structs.replace(allowance, settled=settled, leased=leased), after


def close(allowance: Allowance, lease: Lease) -> tuple[Allowance, Lease]:
    """End a lease whose journal was read whole: what it did not use up is free again, also what was counted ahead."""
    settled = lease.settled - lease.ahead
    after = msgspec.structs.replace(lease, amount=min(lease.amount, settled), settled=settled, ahead=0, ended=True)
    return msgspec.structs.replace(
        allowance,
        settled=allowance.settled - lease.ahead,
        leased=allowance.leased + after.room - lease.room,
    ), after


def write_off(allowance: Allowance, lease: Lease) -> tuple[Allowance, Lease]:
    """Count all that a lease has left as spent. What its journal tells later is taken out of that first."""
    room = lease.room
    after = msgspec.structs.replace(lease, settled=lease.settled + room, ahead=lease.ahead + room, ended=True)
    settled, leased = allowance.settled + room, allowance.leased - room
    return msgspec.structs.replace(allowance, settled=settled, leased=leased), after
