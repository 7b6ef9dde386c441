"""The part of an exchange that answers calls: every process that does so has one."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from trunkline.app.budgets import BudgetWatch
from trunkline.app.claims import ClaimWatch
from trunkline.app.content import open_conversations
from trunkline.app.courier import Courier
from trunkline.app.following import follow
from trunkline.app.front import front
from trunkline.app.grants import GrantWatch
from trunkline.app.ground import Checked, Ground
from trunkline.app.hearsay import Hearsay
from trunkline.app.interpreter import suit_interpreter
from trunkline.app.keys import KeyWatch
from trunkline.app.limits import make_turnstile
from trunkline.app.probing import Prober
from trunkline.app.signals import Signals
from trunkline.app.standing import standings
from trunkline.estate.endpoints import Address
from trunkline.gateway.errands import Errands
from trunkline.gateway.exchange import Exchange, Readiness
from trunkline.gateway.serve import Gateway, refusal_body
from trunkline.gateway.shadows import Shadows
from trunkline.ids import mint_journal_id
from trunkline.metering.book import Book
from trunkline.metering.cashier import Cashier
from trunkline.metering.drain import Drainer
from trunkline.metering.journal import Journal
from trunkline.metering.purses import Purses
from trunkline.observability.metrics import LimitReading, Metrics, Readings, UpstreamLoad
from trunkline.serving.specs import EngineState
from trunkline.upstream.health import Mark
from trunkline.wire.client import Pool, Proxies, trust
from trunkline.wire.server import Outbox, Server

LOOK_EVERY = 0.05
"""Seconds between two looks whether calls under way have come to their end."""

Close = Callable[[float], Awaitable[None]]
"""Ends what is under way within so many seconds."""

EngineStates = Callable[[], Mapping[str, EngineState]]


class Answering:
    """An exchange with its journal, its keys and its socket.

    Args:
        ground: what the process stands on.
        checked: the estate to begin with.
        journal_folder: where this process keeps its journal; nobody else writes there.
        engines: tells how the engines fare.
        readiness: tells whether the exchange can do its work.
    """

    def __init__(
        self,
        ground: Ground,
        checked: Checked,
        journal_folder: Path,
        *,
        engines: EngineStates,
        readiness: Callable[[], Readiness],
    ) -> None:
        self._ground = ground
        self._compiler = checked.compiler
        self._server: Server | None = None
        options, clock = ground.options, ground.clock
        self._front = front(options)
        self._journal = Journal.open(journal_folder, mint_journal_id())
        self._drainer = Drainer(self._journal, ground.store, clock)
        self._book = Book(self._journal, clock=clock, currency=checked.loaded.estate.currency)
        self._outbox = Outbox()
        # Settlements are written before the answers that they belong to leave.
        self._outbox.before, self._journal.rouse = self._journal.flush, self._outbox.rouse
        proxies = Proxies.from_environment(os.environ)
        tls = trust(options.ca_file)
        self._pool = Pool(tls=tls, proxies=proxies, outbox=self._outbox)
        self._claims = ClaimWatch(checked.compiler, ground.store, clock)
        self._budgets = BudgetWatch(checked.budgets, checked.recipients, ground.store, clock)
        keys = ground.store.all()
        self.exchange = Exchange(
            compile_snapshot=checked.compiler.compile,
            ring=checked.rings.make(keys),
            book=self._book,
            upstreams=self._pool,
            metrics=Metrics(checked.loaded.estate.currency, self._readings(engines)),
            clock=clock,
            readiness=lambda: self._noted(readiness()),
        )
        self._grants = GrantWatch(checked.compiler, clock, self.exchange.metrics)
        self.exchange.waiting.alone = options.workers == 1
        self._book.settled, self._book.began = self.exchange.settled, self.exchange.began
        self._courier = Courier(
            checked.recipients,
            checked.environment,
            ground.store,
            Pool(tls=tls, proxies=proxies),
            clock,
            self.exchange.metrics,
        )
        self.exchange.overran = self._courier.note_overrun
        self._purses = Purses(ground.store, self._journal, clock)
        self.exchange.cashier = Cashier(self._purses, checked.budgets, clock)
        self._conversations = self.exchange.conversations = open_conversations(options.content_key, ground.store, clock)
        self._errands = self.exchange.errands = Errands(self.exchange, self._conversations)
        self._turnstile = self.exchange.turnstile = make_turnstile(ground, checked.limits, self.exchange)
        self._shadows = self.exchange.shadows = Shadows(self.exchange)
        self._hearsay: Hearsay | None = None
        if ground.store.shared:
            self._hearsay = Hearsay(ground.store, ground.name, self.exchange.place_of, self.exchange.hear_from_afar)
            self.exchange.health.tell = self._hearsay.tell
        self._watch = KeyWatch(self.exchange, ground.store, checked.rings, clock, keys)
        self.exchange.keys_changed = self._watch.look

    def tell_too(self, tell: Callable[[Mark], None]) -> None:
        """Have what is found out of deployments told there, too."""
        before = self.exchange.health.tell

        def both(mark: Mark) -> None:
            before(mark)
            tell(mark)

        self.exchange.health.tell = both

    def _readings(self, engines: EngineStates) -> Readings:
        """Return what the metrics read whenever they are asked for."""
        return Readings(
            upstreams=lambda: {one.deployment: one.state for one in standings(self.exchange.snapshot, engines())},
            connections=lambda: self._server.connections if self._server is not None else 0,
            journal_lag=lambda: self._drainer.lag.records,
            store_away=lambda: int(not self._drainer.healthy),
            drained=lambda: self._drainer.booked,
            engine_restarts=lambda: {name: one.restarts for name, one in engines().items()},
            estate=lambda: self.exchange.snapshot.version,
            claims=self._claims.seconds_left,
            budgets=self._budgets.readings,
            limits=self._limits_now,
            loads=self._loads,
        )

    def _limits_now(self) -> dict[str, LimitReading]:
        return self._turnstile.readings()

    def _loads(self) -> tuple[UpstreamLoad, ...]:
        return self.exchange.health.loads()

    def begin(self, stack: AsyncExitStack) -> None:
        """Begin to drain the journal and to follow the keys; the stack ends both, and the connections upstream."""
        stack.callback(self._turnstile.page.close)
        stack.callback(self._conversations.close)
        self._drainer.start()
        stack.callback(self._drainer.stop)
        stack.push_async_callback(self._purses.stop)
        stack.push_async_callback(self._pool.close)
        stack.push_async_callback(self._courier.stop)
        stack.push_async_callback(self._shadows.stop)
        changes = self._ground.store.changes()
        changes.begin()
        stack.callback(changes.end)
        told_of_budgets = None if self._ground.store.shared else changes
        follow(stack, "looking for keys", partial(self._watch.follow, changes))
        follow(stack, "looking for claims", partial(self._claims.follow, self.exchange, changes))
        follow(stack, "asking for leases", self._purses.follow)
        follow(stack, "looking at budgets", partial(self._budgets.follow, told_of_budgets))
        follow(stack, "sending alerts", self._courier.follow)
        follow(stack, "erasing conversations", self._conversations.follow)
        follow(stack, "working on errands", self._errands.follow)
        follow(stack, "watching the loop", self.exchange.gate.follow)
        self._grants.begin(self.exchange)
        stack.callback(self._grants.end)
        follow(stack, "knocking", Prober(self.exchange, self._pool, self._ground.clock).follow)
        if self._hearsay is not None:
            follow(stack, "telling others of deployments", partial(self._hearsay.follow, changes))
        if self._turnstile.shares is not None:
            follow(stack, "asking for shares of limits", self._turnstile.shares.follow)
        if self._turnstile.slots is not None:
            stack.push_async_callback(self._turnstile.slots.stop)
            follow(stack, "asking for slots", self._turnstile.slots.follow)

    async def listen(self, stack: AsyncExitStack, signals: Signals, listener: socket.socket | None = None) -> None:
        """Answer from now on, at the address of the options or on a socket that listens already, until the stack ends.

        Raises:
            Unstartable: the address cannot be had.
        """
        options = self._ground.options
        shown = self._front
        gateway = Gateway(self.exchange, shown.cross_origin)
        server = await Server.start(
            gateway, options.host, options.port, shown.limits, sock=listener, tls=shown.tls, outbox=self._outbox
        )
        server.word_refusals(refusal_body)
        self._server = server
        stack.push_async_callback(_drain, (server.close, self._errands.finish), signals, options.grace)
        suit_interpreter()

    def _noted(self, found: Readiness) -> Readiness:
        """Say beside what is waited for that the store is away: calls go on without it for a while."""
        if self._drainer.healthy:
            return found
        note = "the store takes nothing at the moment; calls go on, and the journal keeps them"
        return msgspec.structs.replace(found, notes=(*found.notes, note))

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `listen`."""
        return self._server.port if self._server is not None else 0

    def engine_changed(self, deployment: str, address: Address | None) -> None:
        """Take notice that an engine came or went."""
        self._compiler.engine_changed(deployment, address)
        self.exchange.refresh()

    def engines_at(self, addresses: dict[str, Address]) -> None:
        """Take notice of where all engines listen now."""
        if addresses != self._compiler.addresses:
            self._compiler.engines_at(addresses)
            self.exchange.refresh()

    async def swap(self, checked: Checked, retired: frozenset[str]) -> None:
        """Put another estate in force, in one step that no call can fall into.

        `retired` are the deployments whose engines end with the estate before; nothing new is sent to them.
        """
        ring = await asyncio.to_thread(self._watch.make, checked.rings)
        await self._claims.adopt(checked.compiler)
        exchange, compiler, snapshot = self.exchange, checked.compiler, checked.snapshot
        addresses = {name: where for name, where in self._compiler.addresses.items() if name not in retired}
        moved = addresses != compiler.addresses  # An engine came or went while the estate was checked.
        if moved:
            compiler.engines_at(addresses)
        if self._grants.adopt(compiler) or moved:
            snapshot = compiler.compile()
        self._compiler = compiler
        exchange.adopt(compiler.compile, snapshot)
        self._claims.look_again()
        self._watch.adopt(checked.rings, ring)
        self._book.currency = snapshot.currency
        if exchange.cashier is not None:
            exchange.cashier.adopt(checked.budgets)
        self._turnstile.adopt(checked.limits)
        self._budgets.adopt(checked.budgets, checked.recipients)
        self._courier.adopt(checked.recipients, checked.environment)
        exchange.metrics.use_currency(snapshot.currency)

    async def quiet(self, deployments: Collection[str], within: float) -> None:
        """Wait until no attempt at these deployments is under way any more, but no longer than so many seconds."""
        for _ in range(math.ceil(within / LOOK_EVERY)):
            if not self._book.busy(deployments):
                return
            await asyncio.sleep(LOOK_EVERY)


async def _drain(closes: tuple[Close, ...], signals: Signals, grace: float) -> None:
    """Close what has calls under way: they may end within `grace` seconds, or until a signal says at once."""

    async def close(within: float) -> None:
        await asyncio.gather(*(one(within) for one in closes))

    closing = asyncio.create_task(close(0 if signals.at_once.is_set() else grace))
    hurried = asyncio.create_task(signals.at_once.wait())
    await asyncio.wait({closing, hurried}, return_when=asyncio.FIRST_COMPLETED)
    if not closing.done():
        await close(0)
    hurried.cancel()
    await closing
