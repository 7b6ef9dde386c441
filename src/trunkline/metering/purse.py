"""A worker's side of the leases: what it may still use up of each allowance without asking anybody."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trunkline.ids import JournalId
from trunkline.metering.leases import Answer, Ask, Covers, LeaseId, mint_lease_id
from trunkline.metering.periods import Period

LASTS = 120_000_000_000
"""Nanoseconds that a lease lasts without being renewed."""

MARGIN = 5_000_000_000
"""Nanoseconds before its expiry from which on a lease is not used: more than clocks drift apart in that time."""

RENEW_BEFORE = 80_000_000_000
"""Nanoseconds before its expiry from which on a lease is renewed."""

PARTS = 100
"""A worker asks ahead for no more than this part of the limit: frozen money is bounded by it, for each worker."""

HOLDS_AHEAD = 16
"""A worker that begins asks ahead for so many calls as dear as the last one."""

IDLE = 5_000_000_000
"""Nanoseconds without a call after which what is left goes back."""


LINGER = 300_000_000
"""Nanoseconds for which a worker keeps what it has just got or used, also where somebody goes without: the call that it
is for may still wait for another allowance."""


DRY_FOR = 1_000_000_000
"""Nanoseconds for which calls as dear as one that was refused are refused without asking again."""

HEARD = -1
"""In place of a version: the store knows the limit as it is declared now."""


class Account(msgspec.Struct, frozen=True):
    """An allowance through all its periods, as the estate declares it.

    Attributes:
        name: of the allowance, the same for all workers: what it binds, how often it begins anew, what it counts.
        hard: whether calls are refused at the limit.
        declared_at: when this declaration came into force, in nanoseconds since 1970 by the store's clock, and always
            later than those before it.
        period_at: in which of its periods a moment lies.
        covers: which attempts without a lease of it count in the period of its declaration; None for none.
    """

    name: str
    limit: int
    hard: bool
    declared_at: int
    period_at: Callable[[int], Period]
    covers: Covers | None = None


class Moment(msgspec.Struct, frozen=True):
    """The worker's clocks at one moment: monotonic ticks, and nanoseconds since 1970 as this machine has them."""

    ticks: int
    wall: int


class Slice:
    """A lease in a worker's hands.

    Attributes:
        room: what may still be held in it.
        open: how many attempts are held in it.
        told: what the store last said it is in all.
        until_ticks: it is not used from this tick on, nor from `until_wall` on: whichever clock says so first, for one
            may stand still while the machine sleeps, and the other may be set.
    """

    __slots__ = (
        "amount",
        "ended",
        "id",
        "journal",
        "low",
        "open",
        "period",
        "room",
        "taken",
        "told",
        "until_ticks",
        "until_wall",
        "version",
    )

    def __init__(self, allowance: str, journal: JournalId, period: Period) -> None:
        self.id: LeaseId = mint_lease_id(allowance, period.starts)
        self.journal = journal
        self.period = period
        self.version = 0
        self.amount = 0
        self.room = 0
        self.low = 0
        self.open = 0
        self.taken = 0
        self.told = 0
        self.until_ticks = 0
        self.until_wall = 0
        self.ended = False

    @property
    def used(self) -> int:
        """What was settled in it and what is held in it."""
        return self.amount - self.room

    def take(self, amount: int) -> None:
        """Hold an amount in it."""
        self.room -= amount
        self.taken += amount
        self.open += 1

    def settle(self, held: int, cost: int) -> None:
        """Release a hold and count what was used up; more than was held is counted in full."""
        self.room += held - cost
        self.open -= 1

    def let_go(self) -> None:
        """Give back all that is not held or used up."""
        if self.room > 0:
            self.amount -= self.room
            self.room = 0
        self.low = 0


class Purse:
    """One allowance at one worker: the lease in use, and those that were in use and have calls in them.

    Nothing here waits or talks: `asks` says what is to be asked of the store, `take` hears the answers.

    Attributes:
        account: what it is of.
        slice: the lease in use.
        retired: leases that take no more calls, until the store knows that they ended.
        answer: the store's last word on the allowance.
        tight_until: until this tick nothing is asked ahead: somebody went without.
        dry: the least that was refused last, until tick `dry_until`: asking again at once would change nothing.
        refused: how it stood then.
        most: the most that could be had then, if all came back that may.
    """

    __slots__ = (
        "_anew",
        "_idle_since",
        "_last_hold",
        "_lowered",
        "_offset",
        "account",
        "answer",
        "dry",
        "dry_until",
        "most",
        "refused",
        "retired",
        "slice",
        "tight_until",
    )

    def __init__(self, account: Account) -> None:
        self.account = account
        self.slice: Slice | None = None
        self.retired: list[Slice] = []
        self.answer: Answer | None = None
        self.tight_until = 0
        self.dry = 0
        self.dry_until = 0
        self.refused: Answer | None = None
        self.most = 0
        self._offset = 0
        self._last_hold = 0
        self._lowered = False
        self._anew = HEARD
        self._idle_since = 0

    def usable(self, journal: JournalId, at: Moment) -> Slice | None:
        """Return the lease in use while it may be used, for calls in this journal."""
        found = self.slice
        if found is None or found.journal != journal or at.ticks >= found.until_ticks or at.wall >= found.until_wall:
            return None
        return found

    def watched(self, journal: JournalId, at: Moment) -> Slice:
        """Return the lease in which calls are counted where the limit is only watched: no call waits for one."""
        found = self.slice
        now = at.wall + self._offset
        if found is None or found.journal != journal or not found.period.holds(now):
            found = self._begin(journal, now)
        return found

    def adopt(self, account: Account) -> None:
        """Go on as another estate declares it: what goes beyond a lowered limit goes back first."""
        before, self.account = self.account, account
        if before.hard != account.hard:
            self.retire()
        elif self.slice is not None and account.limit < before.limit:
            self.slice.let_go()
            self._lowered = True
        if self.slice is not None and account.limit != before.limit:
            self._anew = self.slice.version
        self.dry = 0

    def tighten(self, ticks: int) -> None:
        """Keep nothing in hand for a while: somebody elsewhere goes without."""
        self.tight_until = ticks + IDLE

    def retire(self) -> None:
        """Use the lease no more: the estate has no such budget any longer, or the worker stops."""
        if self.slice is not None:
            self.slice.let_go()
            self.retired.append(self.slice)
            self.slice = None

    def asks(self, journal: JournalId, at: Moment, waiting: tuple[int, ...] = ()) -> list[Ask]:
        """Return what is to be asked now: for what waits, ahead of need, to renew, to give back.

        Args:
            journal: in which calls are held from now on.
            at: this moment.
            waiting: what the calls that wait want to hold, the first of them first.
        """
        now = at.wall + self._offset
        found = self.slice
        if found is not None and (found.journal != journal or not found.period.holds(now) or found.ended):
            self.retire()
            found = None
        for one in self.retired:
            one.let_go()
        asks = [self._ask(one, 0, (0, 0), final=one.open == 0) for one in self.retired if _speaks(one, at)]
        if found is None and waiting:
            found = self._begin(journal, now)
        if found is None:
            return asks
        if not self.account.hard:
            if not found.until_ticks or self._anew != HEARD:  # Until it is heard: the store may have been away.
                asks.append(self._ask(found, 0, (0, 0)))
            return asks
        asks.extend(self._for_use(found, at, waiting))
        return asks

    def hear(self, answer: Answer, sent: Moment) -> None:
        """Take the store's answer to what was asked at the moment `sent`."""
        self._offset = answer.now - sent.wall
        if self.answer is None or (self.slice is not None and self.slice.id == answer.lease):
            self.answer = answer
        if answer.short:
            self.tight_until = sent.ticks + IDLE
        for one in (*self.retired, *(() if self.slice is None else (self.slice,))):
            if one.id == answer.lease and (one.version == answer.version or answer.ended):
                self._hear(one, answer, sent)
        self.retired = [one for one in self.retired if not one.ended or one.open]
        if self.slice is not None and self.slice.ended:
            self.retire()

    def refuse(self, amount: int, ticks: int) -> None:
        """Refuse as much, and for a moment all that is as dear without asking: unless it is there, and others wait."""
        answer = self.refused = self.answer
        self.most = 0 if answer is None else self.may_return(answer) + answer.frozen * (not self.waits_for(answer))
        if not self.has_left(amount):
            self.dry, self.dry_until = amount, ticks + DRY_FOR
            if self.slice is not None and self.slice.until_ticks:  # What was refused of a period binds no other.
                self.dry_until = min(self.dry_until, self.slice.until_ticks)

    def has_left(self, amount: int) -> bool:
        """Whether the store had as much to give when it last spoke, and nobody held it."""
        answer = self.answer
        return answer is not None and amount <= answer.limit - answer.settled - answer.leased + max(self.room, 0)

    def waits_for(self, answer: Answer) -> bool:
        """Whether something may come back soon: from calls under way here, or from other workers."""
        return answer.others > 0 or self.open > 0

    def may_return(self, answer: Answer) -> int:
        """Return the most that can be had soon, if all came back that is held by who is alive."""
        left = answer.limit - answer.settled
        return left if self.waits_for(answer) else left - answer.leased + max(self.room, 0)

    def held(self, amount: int, ticks: int) -> None:
        """Note what a call held: what is asked ahead goes by it."""
        self._last_hold = amount
        self._idle_since = ticks

    @property
    def room(self) -> int:
        """What the lease in use has left."""
        return 0 if self.slice is None else self.slice.room

    @property
    def open(self) -> int:
        """How many attempts are held, in whichever lease."""
        return sum(one.open for one in self.retired) + (0 if self.slice is None else self.slice.open)

    def _begin(self, journal: JournalId, now: int) -> Slice:
        self.retire()
        self.slice, self._anew = Slice(self.account.name, journal, self.account.period_at(now)), HEARD
        return self.slice

    def _for_use(self, found: Slice, at: Moment, waiting: tuple[int, ...]) -> list[Ask]:
        tight = at.ticks < self.tight_until
        used = found.used
        if self._lowered:  # Given back before anything is asked for: what was granted by the old limit is no claim.
            self._lowered = False
            found.let_go()
            return [self._ask(found, 0, (0, 0))]
        if waiting:
            due = used + sum(waiting)
            ahead = 0 if tight else self._ahead(found, max(waiting))
            return [self._ask(found, due + ahead, (due, used + waiting[0]))]
        if at.ticks - self._idle_since >= (LINGER if tight else IDLE):
            found.let_go()
        elif found.room < found.low and not tight:
            return [self._ask(found, used + self._ahead(found, self._last_hold), (0, 0))]
        old = (found.open or found.room > 0) and found.until_ticks - at.ticks < RENEW_BEFORE - MARGIN
        tell = old or found.amount < found.told or self._anew != HEARD
        return [self._ask(found, found.amount, (0, 0))] if tell else []

    def _ahead(self, found: Slice, hold: int) -> int:
        return min(self.account.limit // PARTS, max(HOLDS_AHEAD * hold, 2 * found.taken))

    def _ask(self, one: Slice, amount: int, due_and_need: tuple[int, int], *, final: bool = False) -> Ask:
        # What is given back was let go of before: never less than what may be used up while the message is under way.
        amount = max(amount, one.amount)
        one.version += 1
        account = self.account
        return Ask(
            lease=one.id,
            version=one.version,
            allowance=account.name,
            period=one.period,
            limit=account.limit,
            hard=account.hard,
            declared_at=account.declared_at,
            journal=one.journal,
            amount=amount,
            due=due_and_need[0],
            need=due_and_need[1],
            lasts=LASTS,
            final=final,
            covers=account.covers,
        )

    def _hear(self, one: Slice, answer: Answer, sent: Moment) -> None:
        if answer.amount > one.amount:
            self._idle_since = sent.ticks
        if one is self.slice and one.version > self._anew:
            self._anew = HEARD
        one.room += answer.amount - one.amount
        one.amount = answer.amount
        one.taken = 0
        one.ended = answer.ended
        if answer.ended:
            one.let_go()
        one.low = one.room // 2
        lasts = min(answer.expires - MARGIN, one.period.ends) - answer.now
        one.told = answer.amount
        one.until_ticks = sent.ticks + lasts
        one.until_wall = sent.wall + lasts


def _speaks(one: Slice, at: Moment) -> bool:
    """Whether something is to be said of a retired lease: that it ended, or that it is to be renewed."""
    return one.open == 0 or one.amount < one.told or at.ticks >= one.until_ticks - RENEW_BEFORE + MARGIN
