"""The workers of an exchange: started, asked, replaced when they end, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import trunkline
from trunkline.app.channel import Channel, ChannelFault, pair
from trunkline.app.ground import Checked, Ground
from trunkline.app.orders import (
    Apply,
    Begun,
    Count,
    Done,
    Farewell,
    Orders,
    Quiet,
    Scrape,
    Stop,
    Surrounding,
    ToParent,
    Whole,
)
from trunkline.errors import TrunklineError, Unstartable
from trunkline.metering.recover import recover
from trunkline.observability.metrics import Metrics
from trunkline.observability.tally import Tally, add_up, lasting, take
from trunkline.upstream.health import Mark
from trunkline.upstream.turns import Queued

APPLY_WITHIN = 60.0
COUNT_WITHIN = 1.0
BACK_OFF = 0.1
MOST_BACK_OFF = 10.0
CALM = 30.0
"""A worker that lived so many seconds is replaced at once."""
FIRST_TRIES = 3
MARGIN = 15.0
"""Seconds beyond the grace in which a stopping worker books its journal, before it is killed."""
RECOVER_EVERY = 1.0
COUNT_EVERY = 1.0
"""Seconds between two looks at what the workers counted: one that is killed takes no more than so much with it."""

log = logging.getLogger("trunkline.app")


class RunningWorker:
    """One process that answers, seen from its parent."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel[ToParent], crew: Workers) -> None:
        self.process = process
        self.channel = channel
        self.begun = asyncio.Event()
        self.tally: Tally | None = None
        self._crew = crew

    def hear(self, news: ToParent) -> None:
        """Take the worker's news."""
        match news:
            case Begun():
                self.begun.set()
            case Farewell():
                self.tally = news.tally
            case Mark() | Queued():
                self._crew.spread(news, self)
            case _:
                log.error("a worker told a question as news")

    async def answer(self, question: ToParent) -> object:
        """Answer the worker's questions."""
        if not isinstance(question, Scrape):
            raise ChannelFault(f"{type(question).__name__} is no question")
        return await self._crew.count()

    async def count(self) -> None:
        """Ask for its counts; the last ones stay where it does not answer."""
        with suppress(ChannelFault):
            self.tally = await self.channel.ask(Count(), Tally, COUNT_WITHIN)


class Workers:
    """Keeps a number of workers behind one socket.

    Args:
        ground: what the exchange stands on.
        listener: the socket that they share.
        lock: the descriptor of the held data folder.
        surrounding: tells what is around them.
    """

    def __init__(
        self,
        ground: Ground,
        listener: socket.socket,
        lock: int,
        surrounding: Callable[[], Surrounding],
    ) -> None:
        self._ground = ground
        self._handed = (listener.fileno(), lock)
        self._surrounding = surrounding
        self._stopping = asyncio.Event()
        self._workers: dict[int, RunningWorker] = {}
        self._gone = Tally("")
        self._keeping: list[asyncio.Task[None]] = []
        self._recovering: set[asyncio.Task[None]] = set()
        self._swapping = asyncio.Lock()
        self._first: list[asyncio.Future[None]] = []
        self.metrics = Metrics("")

    def begin(self, currency: str) -> None:
        """Start them all; does not wait."""
        self.metrics.currency = currency
        loop = asyncio.get_running_loop()
        for number in range(1, self._ground.options.workers + 1):
            first = loop.create_future()
            self._first.append(first)
            self._keeping.append(asyncio.create_task(self._keep(number, first)))

    def waiting(self) -> tuple[str, ...]:
        """Name the workers that have not begun for the first time."""
        return tuple(f"worker {number}" for number, first in enumerate(self._first, 1) if not first.done())

    async def ready(self) -> None:
        """Wait until every worker has begun once.

        Raises:
            Unstartable: one does not begin.
        """
        await asyncio.gather(*self._first)

    def tell_surrounding(self) -> bool:
        """Tell all workers what is around them now; not while they change estates, for it belongs to one of the two."""
        if self._swapping.locked():
            return False
        for worker in self._workers.values():
            worker.channel.tell(self._surrounding())
        return True

    def spread(self, news: Mark | Queued, finder: RunningWorker) -> None:
        """Tell all other workers what one has found out about a deployment, or who waits for it there."""
        for worker in self._workers.values():
            if worker is not finder:
                worker.channel.tell(news)

    async def swap(self, checked: Checked, retired: frozenset[str]) -> None:
        """Have every worker put the applied estate in force. One that fails at it is drained and replaced."""
        async with self._swapping:
            self.metrics.use_currency(checked.loaded.estate.currency)
            order = Apply(checked.loaded.estate.version, tuple(sorted(retired)))
            await asyncio.gather(*(self._apply(worker, order) for worker in self._workers.values()))

    async def quiet(self, deployments: Collection[str], within: float) -> None:
        """Wait until no worker has an attempt at these deployments under way, but no longer than so many seconds."""
        question = Quiet(tuple(deployments), within)
        asked = (worker.channel.ask(question, Done, within + COUNT_WITHIN) for worker in self._workers.values())
        await asyncio.gather(*asked, return_exceptions=True)

    async def count(self) -> Whole:
        """Add up what all workers counted, with those that are gone."""
        workers = tuple(self._workers.values())
        await self._ask_counts()
        # One that ended meanwhile is among those gone.
        living = tuple(worker for worker in workers if worker in self._workers.values())
        tallies = [worker.tally for worker in living if worker.tally is not None]
        total = add_up((self._gone, take(self.metrics), *tallies), self.metrics.currency)
        processes = (os.getpid(), *(worker.process.pid for worker in living))
        return Whole(total, len(living), processes)

    async def keep_counting(self) -> None:
        """Take over what the workers counted, now and then, for ever."""
        while True:
            await asyncio.sleep(COUNT_EVERY)
            await self._ask_counts()

    async def _ask_counts(self) -> None:
        await asyncio.gather(*(worker.count() for worker in tuple(self._workers.values()) if worker.begun.is_set()))

    async def stop(self, at_once: asyncio.Event) -> None:
        """Drain and end all of them; cut off what runs as soon as `at_once` is set."""
        self._stopping.set()
        for worker in self._workers.values():
            worker.channel.tell(Stop())
        ending = asyncio.create_task(self._end())
        hurried = asyncio.create_task(self._hurry(at_once))
        limit = self._ground.options.grace + MARGIN
        await asyncio.wait({ending, hurried}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            await asyncio.wait({ending}, timeout=MARGIN)
        hurried.cancel()
        for worker in self._workers.values():
            log.error("worker %d did not end in time and is killed", worker.process.pid)
            with suppress(ProcessLookupError):
                worker.process.kill()
        await ending
        if self._recovering:
            await asyncio.wait(self._recovering, timeout=MARGIN)

    async def _end(self) -> None:
        if self._keeping:
            await asyncio.wait(self._keeping)

    async def _hurry(self, at_once: asyncio.Event) -> None:
        await at_once.wait()
        for worker in self._workers.values():
            worker.channel.tell(Stop(at_once=True))

    async def _apply(self, worker: RunningWorker, order: Apply) -> None:
        try:
            await worker.channel.ask(order, Done, APPLY_WITHIN)
        except ChannelFault as fault:
            if not worker.channel.ended.is_set():
                log.error("worker %d is replaced: %s", worker.process.pid, fault.inside)  # noqa: TRY400
                worker.channel.tell(Stop())

    async def _keep(self, number: int, first: asyncio.Future[None]) -> None:
        """Run one worker after the other."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            journal = self._ground.folder.journal_folder / f"worker-{secrets.token_hex(8)}"
            how = await self._live(number, journal, first)
            self._recover(journal)
            if self._stopping.is_set():
                break
            failures = 1 if time.monotonic() - began > CALM else failures + 1
            if not first.done() and failures >= FIRST_TRIES:
                first.set_exception(Unstartable(f"worker {number} does not start: it ended with {how}; see the log"))
                return
            wait = 0.0 if failures == 1 else min(BACK_OFF * 2.0 ** (failures - 2), MOST_BACK_OFF)
            self.metrics.worker_restarts += 1
            log.error("worker %d ended with %s; another one starts in %g s", number, how, wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
        first.cancel()

    async def _live(self, number: int, journal: Path, first: asyncio.Future[None]) -> str:
        """Run one worker from its start to its end; return how it ended."""
        async with self._swapping:
            if self._stopping.is_set():
                return "nothing"
            try:
                worker = await self._launch(journal)
            except OSError as fault:  # No more processes, files or memory at the moment.
                return f"no process: {fault.strerror or fault}"
            self._workers[number] = worker
        hearing = asyncio.create_task(worker.channel.listen(worker))
        begun = asyncio.create_task(worker.begun.wait())
        ended = asyncio.create_task(worker.process.wait())
        if self._stopping.is_set():
            worker.channel.tell(Stop())
        await asyncio.wait({begun, ended}, return_when=asyncio.FIRST_COMPLETED)
        if begun.done() and not first.done():
            first.set_result(None)
            self.tell_surrounding()
        code = await ended
        begun.cancel()
        await hearing
        del self._workers[number]
        if worker.tally is not None:
            self._gone = add_up((self._gone, lasting(worker.tally)), self.metrics.currency)
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    async def _launch(self, journal: Path) -> RunningWorker:
        ours, theirs = pair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "trunkline.app.worker",
                    *map(str, (theirs.fileno(), *self._handed)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *self._handed),
                    env=_environment(),
                    start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)  # noqa: FBT003 - the standard library takes it so
        channel: Channel[ToParent] = await Channel.over(ours, ToParent)
        channel.tell(Orders(self._ground.options, journal, self._surrounding(), self._ground.name))
        return RunningWorker(process, channel, self)

    def _recover(self, journal: Path) -> None:
        """Book what a worker that is gone left in its journal, beside all that goes on."""
        task = asyncio.create_task(self._book(journal))
        self._recovering.add(task)
        task.add_done_callback(self._recovering.discard)

    async def _book(self, journal: Path) -> None:
        ground = self._ground
        while True:
            try:
                found = await asyncio.to_thread(recover, journal, ground.store, ground.clock.now(), alone=False)
            except (TrunklineError, OSError) as fault:
                log.warning("the journal of a worker that is gone waits to be read: %s", fault)
                if self._stopping.is_set():
                    return
                await asyncio.sleep(RECOVER_EVERY)
                continue
            if found.records or found.lost:
                log.warning("a worker left records (%d), and attempts without an end (%d)", found.records, found.lost)
            return


def _environment() -> dict[str, str]:
    here = str(Path(trunkline.__file__).parents[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))}
