"""A small world in which everything goes wrong: workers, their journals, a store, and what lies between them.

The store keeps its books by the product's own rules (`metering.leases`), the workers act by the product's own purses
(`metering.purse`). Messages are lost, repeated, late and out of order; workers are killed at any point, clocks are
wrong and run unevenly, journals are turned over, read twice, or destroyed for good; limits change; a budget is declared
in the middle of its period, and heard of by one worker after the other. After every step the world is held against what
must never happen.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field, replace

import msgspec

from trunkline.ids import JournalId
from trunkline.metering import leases as rules
from trunkline.metering.leases import Allowance, Answer, Ask, Lease, LeaseId
from trunkline.metering.periods import Period
from trunkline.metering.purse import Account, Moment, Purse, Slice

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
LONG = 600 * SECOND
"""How long a period of the world is."""

Key = tuple[str, int]


def period_at(moment: int) -> Period:
    starts = moment // LONG * LONG
    return Period(starts, starts + LONG)


@dataclass
class Attempt:
    """One call: what it holds, in which leases, and how it ended."""

    number: int
    hold: int
    slices: list[Slice]
    keys: list[Key]
    cost: int | None = None
    outside: Key | None = None
    """The budget that it counts in though its worker had not heard of it."""

    @property
    def counts(self) -> int:
        """What it may have used up, as far as anybody can know."""
        return self.hold if self.cost is None else self.cost


@dataclass
class Journal:
    """Records in order: (attempt, whether it is the settlement). `read` is how far the store has booked it."""

    id: JournalId
    records: list[tuple[Attempt, bool]] = field(default_factory=list)
    read: int = 0
    sealed: bool = False
    destroyed: bool = False


@dataclass
class Booked:
    """An attempt as the store knows it."""

    leases: tuple[LeaseId, ...] = ()
    hold: int = 0
    begun: bool = False
    cost: int | None = None
    journal: str = ""
    of: Key | None = None

    @property
    def counts(self) -> int:
        """What it counts as in sums: nothing before it has begun, its hold until it has ended."""
        return 0 if not self.begun else self.hold if self.cost is None else self.cost


class Shelf:
    """The store, in memory."""

    def __init__(self) -> None:
        self.allowances: dict[Key, Allowance] = {}
        self.leases: dict[LeaseId, Lease] = {}
        self.of: dict[LeaseId, Key] = {}
        self.attempts: dict[int, Booked] = defaultdict(Booked)
        self.closed: set[JournalId] = set()
        self.outside: dict[Key, int] = {}

    def ask(self, asks: list[Ask], now: int) -> list[Answer]:
        for one in asks:
            key = (one.allowance, one.period.starts)
            if key not in self.allowances:
                spent = self._spent_outside(key)
                self.allowances[key] = Allowance(
                    one.allowance, one.period, one.limit, one.hard, one.declared_at, settled=spent
                )
                self.outside[key] = spent
            allowance = self.allowances[key]
            closed = one.journal in self.closed
            lease = self.leases.get(one.lease) or Lease(one.lease, one.journal, known=closed, ended=closed)
            before = allowance.settled + allowance.leased
            allowance, lease = rules.adjust(allowance, lease, one, now)
            taken = allowance.settled + allowance.leased
            assert taken <= max(before, allowance.limit), "a grant went beyond the limit"
            self.allowances[key], self.leases[one.lease], self.of[one.lease] = allowance, lease, key
        return [
            rules.answer(self.allowances[self.of[one.lease]], self.leases[one.lease], now, self._others(one, now))
            for one in asks
        ]

    def book(self, records: list[tuple[Attempt, bool]], journal: JournalId) -> None:
        for attempt, settled in records:
            known = self.attempts[attempt.number]
            was_whole, counted = known.begun and known.cost is not None, known.counts
            if settled:
                known.cost = attempt.cost if known.cost is None else known.cost
            elif not known.begun:
                known.begun, known.hold, known.journal = True, attempt.hold, journal
                known.leases = tuple(one.id for one in attempt.slices)
                known.of = attempt.outside
            if not was_whole and known.begun and known.cost is not None:
                self._settle(known)
            self._count_outside(known, known.counts - counted)

    def lose(self, journal: JournalId) -> None:
        """Settle what a journal left open at its hold."""
        for known in self.attempts.values():
            if known.begun and known.journal == journal and known.cost is None:
                known.cost = known.hold
                self._settle(known)

    def open_in(self, journal: JournalId) -> bool:
        return any(one.begun and one.journal == journal and one.cost is None for one in self.attempts.values())

    def close(self, journal: JournalId) -> None:
        self.closed.add(journal)
        for lease in list(self.leases.values()):
            if lease.journal == journal:
                self._apply(lease, *rules.close(self.allowances[self.of[lease.id]], lease))

    def write_off(self, lease: Lease) -> None:
        self._apply(lease, *rules.write_off(self.allowances[self.of[lease.id]], lease))

    def _spent_outside(self, key: Key) -> int:
        """What was booked in a period of attempts in none of its leases, at its declaration."""
        return sum(one.counts for one in self.attempts.values() if one.of == key)

    def _count_outside(self, known: Booked, more: int) -> None:
        """Count what is booked outside after the declaration."""
        if known.of in self.allowances and known.of is not None:
            allowance = self.allowances[known.of]
            self.allowances[known.of] = msgspec.structs.replace(allowance, settled=allowance.settled + more)
            self.outside[known.of] += more

    def _settle(self, known: Booked) -> None:
        assert known.cost is not None
        for name in known.leases:
            lease = self.leases[name]
            self._apply(lease, *rules.settle(self.allowances[self.of[name]], lease, known.cost))

    def _apply(self, before: Lease, allowance: Allowance, lease: Lease) -> None:
        self.allowances[self.of[before.id]], self.leases[before.id] = allowance, lease

    def _others(self, ask: Ask, now: int) -> int:
        key = self.of[ask.lease]
        return sum(
            one.room
            for one in self.leases.values()
            if one.id != ask.lease and self.of[one.id] == key and one.expires > now
        )


class Worker:
    """One life of a worker."""

    def __init__(self, world: World, name: int) -> None:
        self.world = world
        self.name = name
        self.skew = world.random.choice((0, 0, 3600, -3600)) * SECOND + world.random.randrange(SECOND)
        self.drift = world.random.uniform(-0.005, 0.005)
        self.born = world.now
        self.purses = {account.name: Purse(account) for account in world.accounts}
        self.deaf = world.late is not None and world.random.random() < 0.7
        self.waiting: dict[str, list[int]] = defaultdict(list)
        self.open: list[Attempt] = []
        self.journals: list[Journal] = [world.journal()]

    @property
    def moment(self) -> Moment:
        elapsed = self.world.now - self.born
        return Moment(int(elapsed * (1 + self.drift)), self.world.now + self.skew)

    @property
    def journal(self) -> Journal:
        return self.journals[-1]

    def call(self) -> None:
        world = self.world
        purses = world.random.sample(list(self.purses.values()), world.random.randint(1, len(self.purses)))
        hold = world.random.randint(1, world.dearest)
        at, slices = self.moment, []
        late = world.late if self.deaf else None
        purses = [purse for purse in purses if purse.account.name != late]
        for purse in purses:
            one = purse.usable(self.journal.id, at)
            if one is None or one.room < hold:
                self.waiting[purse.account.name].append(hold)
                return
            slices.append(one)
        keys = [(purse.account.name, one.period.starts) for purse, one in zip(purses, slices, strict=True)]
        for purse, one in zip(purses, slices, strict=True):
            one.take(hold)
            purse.held(hold, at.ticks)
            self.waiting[purse.account.name].clear()
        attempt = Attempt(len(world.attempts), hold, slices, keys)
        if late is not None:
            attempt.outside = (late, period_at(world.now).starts)
        world.attempts.append(attempt)
        self.open.append(attempt)
        self.journal.records.append((attempt, False))

    def settle(self, attempt: Attempt) -> None:
        """End an attempt, mostly below its hold."""
        world = self.world
        attempt.cost = world.random.randint(0, attempt.hold)
        if world.overruns and world.random.random() < 0.05:
            attempt.cost = attempt.hold + world.random.randint(1, 20)
        for one in attempt.slices:
            one.settle(attempt.hold, attempt.cost)
        self.open.remove(attempt)
        self.journal.records.append((attempt, True))

    def asks(self) -> list[Ask]:
        found: list[Ask] = []
        for purse in self.purses.values():
            if self.deaf and purse.account.name == self.world.late:
                continue
            found += purse.asks(self.journal.id, self.moment, tuple(self.waiting[purse.account.name][:5]))
        return found

    def hear(self, ask: Ask, answer: Answer, sent: Moment) -> None:
        self.purses[ask.allowance].hear(answer, sent)

    def turn_over(self) -> None:
        self.journal.sealed = True
        self.journals.append(self.world.journal())

    def drain(self, most: int) -> None:
        for journal in list(self.journals):
            again = self.world.random.randrange(3) if journal.read else 0
            begin = max(journal.read - again, 0)
            end = min(journal.read + most, len(journal.records))
            self.world.shelf.book(journal.records[begin:end], journal.id)
            journal.read = end
            whole = journal.sealed and journal.read == len(journal.records)
            if whole and not self.world.shelf.open_in(journal.id):
                self.world.shelf.close(journal.id)
                self.journals.remove(journal)

    def stop(self) -> None:
        for attempt in list(self.open):
            self.settle(attempt)
        self.waiting.clear()
        for purse in self.purses.values():
            purse.retire()


@dataclass
class Message:
    """A batch of asks on its way, or its answers."""

    worker: Worker
    asks: list[Ask]
    sent: Moment
    answers: list[Answer] | None = None


class World:
    """All of it, moved on by one random step after the other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same world for the same seed
        self.now = START + self.random.randrange(LONG)
        self.dearest = self.random.choice((3, 30, 200))
        limit = self.random.choice((100, 1_000, 10_000))
        self.overruns = self.random.random() < 0.2
        self.changes = self.random.random() < 0.2
        self.accounts = [
            Account(name, limit * (place + 1), hard=True, declared_at=START, period_at=period_at)
            for place, name in enumerate(("team", "company", "use case")[: self.random.randint(1, 3)])
        ]
        self.late = self.accounts[0].name if self.random.random() < 0.3 else None
        """A budget that workers hear of one after the other; until then all that they spend counts in it outside."""
        self.shelf = Shelf()
        self.attempts: list[Attempt] = []
        self.highest = {account.name: account.limit for account in self.accounts}
        self._journals = 0
        self.workers = [Worker(self, name) for name in range(self.random.randint(1, 4))]
        self.dead: list[Journal] = []
        self.lost: list[Journal] = []
        self.messages: list[Message] = []
        self.partitioned: set[int] = set()

    def journal(self) -> Journal:
        self._journals += 1
        return Journal(JournalId(f"journal-{self._journals}"))

    def run(self, steps: int) -> None:
        actions = (self._call, self._settle, self._ask, self._deliver, self._drain, self._wait, self._mishap)
        for _ in range(steps):
            self.random.choices(actions, weights=(35, 20, 10, 25, 6, 6, 1))[0]()
            self.check()

    def _worker(self) -> Worker:
        return self.random.choice(self.workers)

    def _call(self) -> None:
        self._worker().call()

    def _settle(self) -> None:
        worker = self._worker()
        if worker.open:
            worker.settle(self.random.choice(worker.open))

    def _ask(self) -> None:
        worker = self._worker()
        if asks := worker.asks():
            self.messages.append(Message(worker, asks, worker.moment))

    def _deliver(self) -> None:
        if not self.messages:
            return
        message = self.messages.pop(self.random.randrange(len(self.messages)))
        luck = self.random.random()
        if luck < 0.05 or message.worker.name in self.partitioned:
            return
        if luck < 0.15:
            self.messages.append(message)
        if message.answers is None:
            answers = self.shelf.ask(message.asks, self.now)
            self.messages.append(replace(message, answers=answers))
        elif message.worker in self.workers:
            for ask, answer in zip(message.asks, message.answers, strict=True):
                message.worker.hear(ask, answer, message.sent)

    def _drain(self) -> None:
        worker = self._worker()
        if worker.name not in self.partitioned:
            worker.drain(self.random.randint(1, 20))

    def _wait(self) -> None:
        spans = (1, SECOND // 10, SECOND, 10 * SECOND, 50 * SECOND, 200 * SECOND)
        self.now += self.random.choices(spans, weights=(30, 30, 30, 4, 4, 2))[0]

    def _mishap(self) -> None:
        worker = self._worker()
        match self.random.randrange(9):
            case 0 | 1:
                self._kill(worker)
            case 2:
                self._recover()
            case 3:
                worker.turn_over()
            case 4:
                self.partitioned ^= {worker.name}
            case 5:
                worker.skew += self.random.choice((-1, 1)) * self.random.randrange(100) * SECOND
            case 6:
                frozen = [one for one in self.shelf.leases.values() if one.frozen(self.now)]
                if frozen:
                    self.shelf.write_off(self.random.choice(frozen))
            case 7 if self.changes:
                self._change()
            case 8:
                worker.deaf = False

    def _kill(self, worker: Worker) -> None:
        """A kill loses what is in memory; a journal may go with its disk."""
        self.workers.remove(worker)
        for journal in worker.journals:
            (self.lost if self.random.random() < 0.1 else self.dead).append(journal)
        self.workers.append(Worker(self, worker.name))

    def _recover(self) -> None:
        """Read all journals that were left, in any order, some of them twice; then close what is open."""
        self.random.shuffle(self.dead)
        for journal in self.dead:
            begin = self.random.choice((0, journal.read))
            self.shelf.book(journal.records[begin:], journal.id)
        for journal in self.dead:
            self.shelf.lose(journal.id)
            self.shelf.close(journal.id)
        self.dead.clear()

    def _change(self) -> None:
        """Another estate comes into force, at one worker after the other or at some of them only."""
        place = self.random.randrange(len(self.accounts))
        limit = self.random.randint(1, 2 * self.accounts[place].limit)
        changed = msgspec.structs.replace(self.accounts[place], limit=limit, declared_at=self.now)
        self.accounts[place] = changed
        self.highest[changed.name] = max(self.highest[changed.name], limit)
        for worker in self.workers:
            worker.purses[changed.name].adopt(changed)

    def check(self) -> None:
        """Hold the world against what must always be true."""
        for key, allowance in self.shelf.allowances.items():
            leased = sum(one.room for name, one in self.shelf.leases.items() if self.shelf.of[name] == key)
            assert allowance.leased == leased, "what is leased is not the sum of the leases"
            settled = sum(one.settled for name, one in self.shelf.leases.items() if self.shelf.of[name] == key)
            assert allowance.settled == settled + self.shelf.outside[key], (
                "what is settled is not the sum of the leases"
            )
            booked = sum(one.counts for one in self.shelf.attempts.values() if one.of == key)
            assert self.shelf.outside[key] == booked, "what was spent outside does not count once"
        truth: dict[Key, int] = defaultdict(int)
        beyond: dict[Key, int] = defaultdict(int)
        for attempt in self.attempts:
            for key in attempt.keys:
                truth[key] += attempt.counts
                beyond[key] += max(attempt.counts - attempt.hold, 0)
        for key, used in truth.items():
            assert used <= self.highest[key[0]] + beyond[key], f"{key} was overshot"
            allowance = self.shelf.allowances[key]
            outside = self.shelf.outside[key]
            assert used <= allowance.settled - outside + allowance.leased + beyond[key], (
                f"{key}: the store knows too little"
            )

    def end(self) -> None:
        """Let every worker come to its end, and read everything that is left."""
        self.messages.clear()
        self.partitioned.clear()
        for worker in self.workers:
            worker.stop()
            asks, sent = worker.asks(), worker.moment
            for ask, answer in zip(asks, self.shelf.ask(asks, self.now), strict=True):
                worker.hear(ask, answer, sent)
            worker.drain(1_000_000)
            assert all(not purse.retired and purse.slice is None for purse in worker.purses.values())
            self.dead += worker.journals
        self._recover()
        self.check()
        gone = {journal.id for journal in self.lost}
        for lease in self.shelf.leases.values():
            assert not lease.room or lease.journal in gone, "something leaked"
        self.now += 1_000 * SECOND
        for lease in list(self.shelf.leases.values()):
            if lease.room:
                assert lease.frozen(self.now)
                self.shelf.write_off(lease)
        booked: dict[Key, int] = defaultdict(int)
        for known in self.shelf.attempts.values():
            for name in known.leases:
                booked[self.shelf.of[name]] += known.cost or 0
        ahead: dict[Key, int] = defaultdict(int)
        for lease in self.shelf.leases.values():
            ahead[self.shelf.of[lease.id]] += lease.ahead
            assert not lease.ahead or lease.journal in gone, "what was counted ahead was not taken back"
        for key, allowance in self.shelf.allowances.items():
            assert allowance.leased == 0
            whole = booked[key] + ahead[key] + self.shelf.outside[key]
            assert allowance.settled == whole, "the balance is not the sum of what was booked"
