"""Starts an exchange and runs it to its end: folder, estate, store, journal, engines, socket, in this order."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from trunkline.app.applied import applied_estate, keep_applied
from trunkline.app.claims import ClaimWatch
from trunkline.app.compiling import Compiler
from trunkline.app.front import front
from trunkline.app.keys import KeyWatch, Rings, first_key
from trunkline.app.options import Options
from trunkline.app.standing import standings
from trunkline.app.welcome import Announcer, Welcome
from trunkline.clock import Clock, SystemClock
from trunkline.config.environment import Environment
from trunkline.errors import Unstartable
from trunkline.estate.load import Loaded, load
from trunkline.estate.notices import Notice
from trunkline.estate.stages import Address, Snapshot
from trunkline.gateway.exchange import Exchange, Readiness
from trunkline.gateway.serve import Gateway
from trunkline.ids import KeyId, mint_journal_id
from trunkline.messages import Operation
from trunkline.metering.book import Book
from trunkline.metering.drain import Drainer
from trunkline.metering.journal import Journal
from trunkline.observability.metrics import Metrics, Readings
from trunkline.policy.permit import offered
from trunkline.serving.engine import Engines
from trunkline.serving.specs import Stage, specs_of
from trunkline.store.folder import DataFolder
from trunkline.store.open import Store, open_store
from trunkline.tenancy.callers import Caller
from trunkline.wire.client import Pool, Proxies, trust
from trunkline.wire.server import Server

ADMIN_KEY = "TRUNKLINE_ADMIN_KEY"
GRACE = 10.0
"""Seconds that running calls get to finish when the exchange is told to stop."""


def up(options: Options, announcer: Announcer) -> None:
    """Run an exchange until it is told to stop by SIGINT or SIGTERM.

    Raises:
        Unstartable: it cannot start; the message says why and what to do.
    """
    uvloop.run(_Run(options, announcer, SystemClock()).run())


class _Run:
    """One run of an exchange."""

    def __init__(self, options: Options, announcer: Announcer, clock: Clock) -> None:
        self._options = options
        self._announcer = announcer
        self._clock = clock
        self._engines: Engines | None = None
        self._server: Server | None = None
        self._front = front(options)

    async def run(self) -> None:
        """Start, answer, stop; whatever was begun is ended in the opposite order."""
        stop = _stop_on_signals()
        async with AsyncExitStack() as stack:
            folder = DataFolder(self._options.data)
            stack.enter_context(await asyncio.to_thread(folder.hold))
            loaded = load(self._estate_path())
            store = stack.enter_context(open_store(folder.store_path))
            drainer, book = await self._open_books(folder, store, loaded.estate.currency, stack)
            environment = Environment(loaded.folder, os.environ)
            compiler = Compiler(loaded.estate, environment, self._clock, engines=self._options.engines)
            claims = ClaimWatch(compiler, store, self._clock)
            rings = Rings(
                pepper=folder.pepper(),
                cost_centres={name: unit.cost_centre for name, unit in loaded.estate.units.items()},
                root=loaded.estate.root,
                admin=os.environ.get(ADMIN_KEY),
            )
            pool = Pool(tls=trust(self._options.ca_file), proxies=Proxies.from_environment(os.environ))
            stack.push_async_callback(pool.close)
            exchange = Exchange(
                compile_snapshot=compiler.compile,
                ring=rings.make(store.all()),
                book=book,
                upstreams=pool,
                metrics=Metrics(loaded.estate.currency, self._readings(drainer, claims, lambda: exchange.snapshot)),
                clock=self._clock,
                readiness=self._readiness,
            )
            book.settled = exchange.count_attempt
            secret = first_key(store, rings, self._clock)
            watch = KeyWatch(exchange, store, rings, self._clock)
            exchange.keys_changed = watch.look
            for following in (watch.follow(), claims.follow(exchange)):
                stack.callback(asyncio.create_task(following).cancel)
            await self._start_engines(loaded, compiler, exchange, stack)
            self._server = await Server.start(
                Gateway(exchange, self._front.cross_origin),
                self._options.host,
                self._options.port,
                self._front.limits,
                tls=self._front.tls,
            )
            stack.push_async_callback(self._server.close, GRACE)
            folder.announce(self._server.port, self._options.host)
            keep_applied(folder.path, loaded.files)
            if await self._ready(stop):
                self._announcer.welcome(self._welcome(loaded, exchange.snapshot, secret))
                await stop.wait()
            self._announcer.progress("Stopping: running calls may finish.")

    def _estate_path(self) -> Path:
        path = self._options.estate or applied_estate(self._options.data)
        if path is None:
            raise Unstartable(
                "there is no estate: name its file or folder with --estate or TRUNKLINE_ESTATE. "
                "`trunkline check FILE` checks one; examples/acme is one to begin with."
            )
        return path

    async def _open_books(
        self, folder: DataFolder, store: Store, currency: str, stack: AsyncExitStack
    ) -> tuple[Drainer, Book]:
        journal = Journal.open(folder.journal_folder, mint_journal_id())
        drainer = Drainer(journal, store, self._clock)
        recovery = await asyncio.to_thread(drainer.recover, folder.journal_folder)
        if recovery.records or recovery.lost:
            self._announcer.progress(
                f"Read {recovery.records} records that an earlier run left in its journal; "
                f"{recovery.lost} attempts had no end and are booked at their hold."
            )
        drainer.start()
        stack.callback(drainer.stop)
        return drainer, Book(journal, clock=self._clock, currency=currency)

    async def _start_engines(
        self, loaded: Loaded, compiler: Compiler, exchange: Exchange, stack: AsyncExitStack
    ) -> None:
        specs = specs_of(loaded.estate) if self._options.engines else ()
        if not specs:
            return

        def changed(deployment: str, address: Address | None) -> None:
            compiler.engine_changed(deployment, address)
            exchange.refresh()

        self._engines = Engines(specs, self._options.data, changed, self._announcer.progress)
        stack.push_async_callback(self._engines.stop)
        await self._engines.start()

    async def _ready(self, stop: asyncio.Event) -> bool:
        """Wait until all engines answer; False when told to stop before."""
        if self._engines is None:
            return True
        ready, stopped = asyncio.create_task(self._engines.ready()), asyncio.create_task(stop.wait())
        done, pending = await asyncio.wait({ready, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if ready in done:
            ready.result()
        return stopped not in done

    def _readiness(self) -> Readiness:
        states = self._engines.states() if self._engines is not None else {}
        waiting = tuple(f"engine {name}: {one.stage}" for name, one in states.items() if one.stage is not Stage.READY)
        return Readiness(ready=not waiting, waiting=waiting)

    def _readings(self, drainer: Drainer, claims: ClaimWatch, snapshot: Callable[[], Snapshot]) -> Readings:
        return Readings(
            upstreams=lambda: {one.deployment: one.state for one in standings(snapshot(), self._engines)},
            connections=lambda: self._server.connections if self._server is not None else 0,
            journal_lag=lambda: drainer.lag.records,
            drained=lambda: drainer.booked,
            engine_restarts=self._restarts,
            claims=claims.seconds_left,
        )

    def _restarts(self) -> dict[str, int]:
        states = self._engines.states() if self._engines is not None else {}
        return {name: one.restarts for name, one in states.items()}

    def _welcome(self, loaded: Loaded, snapshot: Snapshot, secret: str | None) -> Welcome:
        port = self._server.port if self._server is not None else self._options.port
        return Welcome(
            url=f"{self._front.scheme}://{self._options.host}:{port}",
            estate=loaded.estate.name,
            data=self._options.data,
            root=snapshot.root,
            deployments=standings(snapshot, self._engines),
            key=secret,
            model=_model_to_try(snapshot),
            notices=tuple(_in_short(notice) for notice in loaded.notices),
        )


def _model_to_try(snapshot: Snapshot) -> str:
    root = Caller(key=KeyId(""), unit=snapshot.root, cost_centre="")
    offers = offered(snapshot, root)
    for offer in offers:
        decisions = offer.by_operation.get(Operation.CHAT)
        if decisions is not None and decisions[offer.data_class].tiers:
            return offer.name
    return offers[0].name if offers else "NAME-OF-A-USE-CASE"


def _in_short(notice: Notice) -> str:
    return f"{notice.message} ({notice.count} times)" if notice.count > 1 else notice.message


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
