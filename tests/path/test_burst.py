"""Three exchanges on one Postgres under load, killed at random together with their connections: nothing is overshot."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.path.exchange import Exchange, deployment, estate, start, stop
from tests.postgres.sharing import Shared
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

from trunkline.metering.ports import Standing
from trunkline.store.open import Store, open_store

HELLO = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
COST = Decimal("0.000157")
"""What one answer of a hundred tokens costs at 1 and 2 per million: 7 and 75 tokens."""

MOST = 2 * COST
"""No less than one call may cost."""

ANSWER = Script(pieces=("The ",) * 75, delay=0.01)
BILLION = 10**9
EXCHANGES = 3
CALLERS = 64
SEEDS = 200
PATIENCE = 60.0


@pytest.fixture(scope="module")
def vendor() -> Iterator[Upstream]:
    with in_thread(ANSWER) as upstream:
        yield upstream


@dataclass
class Site:
    """Exchanges with data folders of their own on one database, in front of one upstream."""

    folder: Path
    url: str
    vendor: Upstream
    calls: int
    customers: Sequence[str]
    books: Store
    running: list[Exchange] = field(default_factory=list)
    key: str = ""
    customer: str = ""
    cut: int = 0

    def begin(self) -> None:
        """Start all of them; the first makes the tables."""
        self.running.append(self.start(0))
        with ThreadPoolExecutor() as pool:
            self.running += pool.map(self.start, range(1, EXCHANGES))
        self.key = self.running[0].key("marketing")

    def start(self, number: int) -> Exchange:
        """Start one on its folder."""
        deployments = {"gpt": deployment(self.vendor.url)}
        budgets: list[dict[str, Any]] = [
            {"on": {"end_customer": name}, "per": "month", "amount": float(self.limit), "hard": True}
            for name in self.customers
        ]
        budgets.append({"on": {"unit": "acme"}, "per": "day", "amount": 1_000, "hard": True})
        declared = estate(deployments, {"chat": [["gpt"]]}, budgets=budgets)
        return start(self.folder / str(number), declared, "--no-engine", TRUNKLINE_STORE=self.url)

    def again(self) -> None:
        """Start those that were killed on their folders."""
        dead = [place for place, one in enumerate(self.running) if one.process.poll() is not None]
        with ThreadPoolExecutor() as pool:
            for place, one in zip(dead, pool.map(self.start, dead), strict=True):
                self.running[place] = one

    def turn_to(self, customer: str) -> None:
        """Have all calls from now on be for another end customer: nothing was spent for that one."""
        self.customer = customer
        self.cut = 0
        self.vendor.reset()
        self.vendor.default = ANSWER

    def end(self) -> None:
        """Stop all of them."""
        for one in self.running:
            stop(one)

    def terminate(self, chance: random.Random) -> None:
        """Have the database end one of the exchanges' connections, whatever it is doing."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            pids = sorted(pid for (pid,) in connection.execute(others))
            if pids:
                connection.execute("SELECT pg_terminate_backend(%s)", [chance.choice(pids)])
                self.cut += 1

    async def burst(self, callers: int, *meanwhile: Awaitable[None]) -> int:
        """Have callers call at each exchange until each is refused for good, or its exchange is gone; count answers."""
        calling = [
            asyncio.create_task(call(one.port, self.key, self.customer)) for one in self.running for _ in range(callers)
        ]
        await asyncio.gather(*meanwhile)
        return sum(await asyncio.gather(*calling))

    def stands(self) -> Standing:
        """How the customer's budget stands."""
        (found,) = [one for one in self.books.standings() if one.allowance.name == self.budget]
        return found

    @property
    def budget(self) -> str:
        """The customer's budget, as the store names it."""
        return f"end_customer:{self.customer}/month/EUR"

    @property
    def spent(self) -> Decimal:
        """What is settled of it."""
        return Decimal(self.stands().allowance.settled) / BILLION

    @property
    def held(self) -> Decimal:
        """What is leased of it."""
        return Decimal(self.stands().allowance.leased) / BILLION

    @property
    def produced(self) -> Decimal:
        """What all that the upstream was asked for costs, whether anybody heard the answer or not."""
        return len(self.vendor.received) * COST

    @property
    def limit(self) -> Decimal:
        """The budget."""
        return COST * self.calls


async def call(port: int, key: str, customer: str) -> int:
    """Ask over and over, on one connection as long as it lasts, until refused for good; return how many were answered.

    A caller is refused for good by 429, and by a connection that is refused: its exchange is gone.
    """
    body = json.dumps(HELLO | {"user": customer}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: trunkline\r\ncontent-type: application/json\r\n"
    request = f"{head}authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    answered = 0
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return answered
        with suppress(OSError, asyncio.IncompleteReadError):
            while (status := await exchange_one(reader, writer, request)) != 429:
                answered += status == 200
                assert status in {200, 503}, status
            writer.close()
            return answered
        writer.close()
    raise AssertionError("a caller was neither answered nor refused")


async def exchange_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request, read all of its answer and return its status."""
    writer.write(request)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode().lower()
    length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(int(length.partition(":")[2]))
    return int(head.split(" ", 2)[1])


Opens = Callable[[int, Sequence[str]], Site]


@pytest.fixture
def opens(tmp_path: Path, postgres: Shared, vendor: Upstream) -> Iterator[Opens]:
    """Opens a site whose end customers may each make so many calls."""
    with ExitStack() as stack:

        def opened(calls: int, customers: Sequence[str]) -> Site:
            url = stack.enter_context(postgres.database())
            site = Site(tmp_path, url, vendor, calls, customers, stack.enter_context(open_store(url)))
            stack.callback(site.end)
            site.begin()
            return site

        yield opened


async def reached(vendor: Upstream, count: int) -> None:
    """Wait until the upstream was asked so often; not for ever: the dead ask for nothing."""
    await asyncio.to_thread(vendor.wait_for, count, 2.0)


async def kill(site: Site, chance: random.Random, at: Sequence[int]) -> None:
    """Kill an exchange whenever the upstream was asked so often."""
    for count in sorted(at):
        await reached(site.vendor, count)
        alive = [one for one in site.running if one.process.poll() is None]
        if alive:
            chance.choice(alive).kill()


async def cut(site: Site, chance: random.Random, at: Sequence[int]) -> None:
    """End a connection to the database whenever the upstream was asked so often."""
    for count in sorted(at):
        await reached(site.vendor, count)
        await asyncio.to_thread(site.terminate, chance)


def until(holds: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit, otherwise()
        time.sleep(0.1)


async def use_up(site: Site) -> None:
    """Have callers use the budget up but for what no call is granted: others give back after callers gave up."""
    limit = time.monotonic() + PATIENCE
    while site.limit - await asyncio.to_thread(lambda: site.spent) >= EXCHANGES * MOST:
        assert time.monotonic() < limit, f"callers are refused though something is left: {site.stands()}"
        await site.burst(8)


def check_the_end(site: Site) -> None:
    """Check what must hold once all callers were refused and all exchanges run."""
    assert site.produced <= site.limit
    until(lambda: site.held == 0, lambda: f"something is still held: {site.stands()}")
    now = time.time_ns()
    assert [row for row in site.books.open_leases() if row.lease.frozen(now)] == []
    assert site.spent <= site.limit
    assert site.produced <= site.spent  # What a kill left open counts at its hold.
    assert site.books.verify().differences == ()


ORDINARY = 300
SLOW = 1_000
BLOCK = 5
BLOCKS = [
    pytest.param(
        range(start, start + BLOCK), SLOW, marks=[pytest.mark.slow, pytest.mark.timeout(900)], id=f"from-{start}"
    )
    for start in range(1, SEEDS, BLOCK)
]


@pytest.mark.parametrize(("seeds", "calls"), [pytest.param((0,), ORDINARY, id="first"), *BLOCKS])
async def test_whoever_is_killed_and_cut_off_in_a_burst_nothing_is_overshot_and_nothing_leaks(
    opens: Opens, seeds: Sequence[int], calls: int
) -> None:
    site = await asyncio.to_thread(opens, calls, [f"of-{seed}" for seed in seeds])
    for seed in seeds:
        site.turn_to(f"of-{seed}")
        chance, of_cuts = random.Random(seed), random.Random(f"cuts {seed}")  # noqa: S311 - the same for the same seed
        kills = [chance.randrange(calls) for _ in range(chance.randint(1, EXCHANGES))]
        cuts = [of_cuts.randrange(calls) for _ in range(of_cuts.randint(3, 12))]
        try:
            await site.burst(CALLERS, kill(site, chance, kills), cut(site, of_cuts, cuts))
            assert site.produced <= site.limit
            assert site.cut
            await asyncio.to_thread(site.again)
            await use_up(site)
            await asyncio.to_thread(check_the_end, site)
        except AssertionError as wrong:
            raise AssertionError(f"seed {seed}: {wrong}") from wrong


async def test_with_a_journal_lost_for_good_nothing_is_overshot_and_what_is_stranded_is_told(opens: Opens) -> None:
    site = await asyncio.to_thread(opens, ORDINARY, ["somebody"])
    site.turn_to("somebody")
    gone = site.running[1]

    async def lose() -> None:
        await reached(site.vendor, ORDINARY // 3)
        gone.kill()

    await site.burst(CALLERS, lose())
    files = gone.folder / "journal"
    lost = {path.stem for path in files.rglob("*") if path.is_file()}
    shutil.rmtree(files)
    await asyncio.to_thread(site.again)
    await site.burst(8)
    assert site.produced <= site.limit
    await asyncio.to_thread(_resolve_what_is_stranded, site, lost)


def _resolve_what_is_stranded(site: Site, lost: set[str]) -> None:
    with psycopg.connect(site.url, autocommit=True) as connection:  # As when the leases have lapsed, minutes later.
        connection.execute("UPDATE leases SET expires = 1 WHERE journal = ANY(%s)", [list(lost)])
    running = site.running[0]
    stranded = [row for row in running.rows("ledger", "resolve") if row["budget"] == site.budget]
    assert {row["journal"] for row in stranded} <= lost
    amount = sum((Decimal(str(row["amount"])) for row in stranded), Decimal())
    assert amount > 0
    until(lambda: site.held == amount, lambda: f"{site.stands()}, stranded: {amount}")
    assert site.produced <= site.spent + amount
    assert site.limit - site.spent - amount < EXCHANGES * MOST
    said = f'trunkline_budget{{budget="{site.budget}",what="frozen"}} {amount.normalize():f}'
    until(lambda: said in running.get("/metrics")[1], lambda: running.get("/metrics")[1])
    for row in stranded:
        running.command("ledger", "resolve", row["lease"], "--spent", "--reason", "its disk burnt")
    assert site.held == 0
    assert site.produced <= site.spent <= site.limit
    assert site.books.verify().differences == ()
