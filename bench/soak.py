"""`make bench ARGS="--soak 30"`: minutes of mixed traffic on two workers, with everything that happens in a long night.

Calls of every dialect, clients that leave, upstreams that fail, keys made and revoked, the estate changed; beside it,
each process is looked at. At the end nothing may have gone wrong, and nothing may have grown.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from bench.flaky import BREAKING, BROKEN, SLOW
from bench.traffic import Traffic, Verdict
from tests.path import exchange
from tests.path.exchange import Exchange

from bench import cpu

RATE = 40.0
"""Calls a second."""
WORKERS = 2
LOOK_EVERY = 5.0
STIR_EVERY = 20.0
"""Seconds between two keys made and revoked, and between two changes of the estate."""
WITHIN = 10.0
"""Seconds for a change to be in force; how many it took is told."""
WARM = 1 / 6
"""The part of the run, from its begin, that no slope is drawn through: caches and pools fill."""
KIB = 1024


class Look(msgspec.Struct, frozen=True):
    """One look at a process: seconds since the begin, bytes of its own memory, open descriptors, threads, CPU in ns."""

    at: float
    memory: int
    descriptors: int
    threads: int
    spent: int


class Soaked(msgspec.Struct, frozen=True):
    """What a soak found.

    Attributes:
        seconds: how long it took.
        verdicts: each call, in the order in which they ended.
        looks: at each process, by its name.
        revoked: for each key that was revoked, the seconds until it was refused.
        applied: for each change of the estate, the seconds until it was in force.
        faults: what did not hold.
        booked: attempts in the ledger; `reached` is how many the upstream saw.
    """

    seconds: float
    verdicts: list[Verdict]
    looks: dict[str, list[Look]]
    revoked: list[float]
    applied: list[float]
    faults: list[str]
    booked: int
    reached: int


def declared(port: int, *, more: bool = False) -> dict[str, object]:
    """Return the estate; with `more`, one use case has another parameter, which is what a change changes."""
    url = f"http://127.0.0.1:{port}/v1"
    claude = {"dialect": "anthropic", "boundary": "claude", "model": "anthropic/some-model"}
    gemini = {"dialect": "gemini", "boundary": "google", "model": "google/some-model"}
    quick = {"connect": 1, "first_byte": 0.5, "between": 1, "total": 10}
    made = exchange.estate(
        {
            "gpt": exchange.deployment(url),
            "claude": exchange.deployment(url, **claude),
            "gemini": exchange.deployment(url.removesuffix("/v1"), **gemini),
            "broken": exchange.deployment(url, upstream_model=BROKEN, timeouts=quick),
            "breaking": exchange.deployment(url, upstream_model=BREAKING, timeouts=quick),
            "slow": exchange.deployment(url, upstream_model=SLOW),
        },
        {
            "chat": [["gpt"]],
            "claude": [["claude"]],
            "gemini": [["gemini"]],
            "shaky": [["broken"], ["gpt"]],
            "hopeless": [["breaking"]],
            "slow": [["slow"]],
        },
        budgets=[
            {"on": {"unit": "acme"}, "per": "month", "amount": 1_000_000, "hard": True},
            {"on": {"unit": "finance"}, "per": "day", "amount": 1_000_000, "hard": True},
        ],
    )
    made["boundaries"] |= {
        name: made["boundaries"]["vendor"] | {"provider": provider}
        for name, provider in (("claude", "anthropic"), ("google", "google"))
    }
    for use_case in made["use_cases"].values():
        use_case["uncarried"] = "drop"
    if more:
        made["use_cases"]["slow"]["parameters"] = {"max_output_tokens": 90}
    return made


class Soak:
    """One run.

    Args:
        running: the exchange.
        upstream: the port of the flaky one.
        key: of the calls.
    """

    def __init__(self, running: Exchange, upstream: int, key: str) -> None:
        self._running = running
        self._upstream = upstream
        self._key = key
        self.looks: dict[str, list[Look]] = {}
        self.revoked: list[float] = []
        self.applied: list[float] = []
        self.faults: list[str] = []

    async def run(self, seconds: float, rate: float, seed: int) -> list[Verdict]:
        """Let everything happen for so long, and return what became of each call."""
        began = time.monotonic()
        async with Traffic(self._running.port, self._key, rate, seed) as traffic, asyncio.TaskGroup() as beside:
            beside.create_task(self._look(began, began + seconds))
            beside.create_task(self._revoke(began + seconds))
            beside.create_task(self._change(began + seconds))
        return traffic.verdicts

    async def _look(self, began: float, end: float) -> None:
        processes = named(self._running.process.pid)
        while time.monotonic() < end:
            for name, pid in processes.items():
                found = look(pid, time.monotonic() - began)
                if found is None:
                    self.faults.append(f"the {name} is gone")
                    return
                self.looks.setdefault(name, []).append(found)
            await asyncio.to_thread(self._running.get, "/metrics")
            await _until(time.monotonic() + LOOK_EVERY, end)

    async def _revoke(self, end: float) -> None:
        """Make a key and revoke it, now and then; it must be void at each worker soon."""
        while time.monotonic() < end:
            began = time.monotonic()
            made = json.loads(await self._command("key", "create", "--unit", "finance", "--json"))
            await self._becomes(made["key"], 200)
            await self._command("key", "revoke", made["id"])
            revoked = time.monotonic()
            await self._becomes(made["key"], 401)
            self.revoked.append(time.monotonic() - revoked)
            await _until(began + STIR_EVERY, end)

    async def _becomes(self, key: str, status: int) -> None:
        until, row = time.monotonic() + WITHIN, 0
        while row < 4 * WORKERS:  # Each look is a connection of its own, so that every worker is asked.
            got = (await asyncio.to_thread(self._running.get, "/v1/models", key))[0]
            row = row + 1 if got == status else 0
            if time.monotonic() > until:
                self.faults.append(f"a key is answered with {got}, not {status}, after {WITHIN:g} s")
                return

    async def _change(self, end: float) -> None:
        """Change the estate, now and then; it must be in force soon."""
        more, before = False, await self._version()
        while time.monotonic() < end:
            began, more = time.monotonic(), not more
            exchange.write(self._running.folder.parent, declared(self._upstream, more=more))
            before = await self._changed(before)
            self.applied.append(time.monotonic() - began)
            await _until(began + STIR_EVERY, end)

    async def _changed(self, before: str) -> str:
        until = time.monotonic() + WITHIN
        while (now := await self._version()) == before:
            if time.monotonic() > until:
                self.faults.append(f"an estate is not in force after {WITHIN:g} s")
                break
        return now

    async def _version(self) -> str:
        text = (await asyncio.to_thread(self._running.get, "/metrics"))[1]
        return str(re.findall(r"^trunkline_estate_info\{.*\}", text, re.MULTILINE))

    async def _command(self, *arguments: str) -> str:
        return await asyncio.to_thread(self._running.command, *arguments)

    async def settled(self) -> int:
        """Wait until nothing is under way, hold the ledger against itself, and return how many attempts it has."""
        until = time.monotonic() + 30
        while left := under_way((await asyncio.to_thread(self._running.get, "/metrics"))[1]):
            if time.monotonic() > until:
                self.faults += [f"left at the end: {line}" for line in left]
                break
            await asyncio.sleep(0.2)
        try:
            await self._command("ledger", "verify")
        except AssertionError as differs:
            self.faults.append(str(differs))
        rows: list[dict[str, Any]] = json.loads(await self._command("ledger", "sum", "--by", "deployment", "--json"))
        return sum(int(row["attempts"]) for row in rows)


async def _until(moment: float, end: float) -> None:
    await asyncio.sleep(max(min(moment, end) - time.monotonic(), 0))


UNDER_WAY = re.compile(
    r"^(?:trunkline_in_flight|trunkline_upstream_outstanding|trunkline_journal_lag)\S*(?: |\{.*\} )(?!0(?:\.0)?$).*$",
    re.MULTILINE,
)


def under_way(metrics: str) -> list[str]:
    """Return the lines that say that something is still under way."""
    return UNDER_WAY.findall(metrics)


def named(pid: int) -> dict[str, int]:
    """Return the processes of an exchange by what they are."""
    workers = [one for one in cpu.tree(pid) if b"trunkline.app.worker" in Path(f"/proc/{one}/cmdline").read_bytes()]
    return {"parent": pid} | {f"worker {number}": one for number, one in enumerate(sorted(workers), 1)}


def look(pid: int, at: float) -> Look | None:
    """Look at a process; None when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number is wanted
        spent = time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return None
    numbers = {name: int(value) for name, value in re.findall(r"^(RssAnon|Threads):\s+(\d+)", status, re.MULTILINE)}
    return Look(at, numbers["RssAnon"] * KIB, descriptors, numbers["Threads"], spent)


def slope(looks: list[Look]) -> float:
    """Return the bytes of memory that a process gained per minute once warm: Theil and Sen's median of all slopes."""
    warm = [one for one in looks if one.at >= looks[-1].at * WARM]
    pairs = [(a, b) for place, a in enumerate(warm) for b in warm[place + 1 :]]
    return statistics.median((b.memory - a.memory) / (b.at - a.at) for a, b in pairs) * 60 if pairs else 0.0


def quantile(values: list[float], part: float) -> float:
    """Return the value below which so much of all lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else 0.0


def drift(soaked: Soaked, part: float) -> tuple[float, float, float]:
    """Return a quantile of the milliseconds that whole answers took, in each third of the run."""
    took = [one.took * 1000 for one in soaked.verdicts if one.kind.use_case == "chat" and not one.wrong]
    third = len(took) // 3
    first, second, last = (quantile(took[number * third : (number + 1) * third], part) for number in range(3))
    return first, second, last


@contextlib.asynccontextmanager
async def _flaky(seed: int) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.flaky", str(seed), stdin=pipe, stdout=pipe, cwd=Path(__file__).parents[1]
    )
    assert process.stdout is not None  # noqa: S101  asked for above
    try:
        yield int(await process.stdout.readline()), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def soak(folder: Path, seconds: float, *, rate: float = RATE, seed: int = 1) -> Soaked:
    """Run one on a fresh data folder."""
    began = time.monotonic()
    async with _flaky(seed) as (port, upstream):
        options = ("--no-engine", "--workers", str(WORKERS))
        running = await asyncio.to_thread(exchange.start, folder, declared(port), *options)
        try:
            one = Soak(running, port, await asyncio.to_thread(running.key, "finance"))
            verdicts = await one.run(seconds, rate, seed)
            booked = await one.settled()
        finally:
            await asyncio.to_thread(exchange.stop, running)
        counts, _ = await upstream.communicate(b"")
    reached = sum(json.loads(counts).values())
    if booked != reached:
        one.faults.append(f"{booked} attempts are booked, and {reached} reached the upstream")
    wrong = [f"{verdict.kind.name}: {verdict.wrong}" for verdict in verdicts if verdict.wrong]
    taken = time.monotonic() - began
    return Soaked(taken, verdicts, one.looks, one.revoked, one.applied, wrong + one.faults, booked, reached)


def table(soaked: Soaked) -> str:
    """Return what was found as a Markdown table."""
    kinds = [one.kind.expect for one in soaked.verdicts]
    asked = {
        "answered whole": kinds.count("whole"),
        "with the only deployment failing": kinds.count("honest"),
        "left by the client": kinds.count("left"),
        "refused": sum(isinstance(one, int) for one in kinds),
    }
    rows = [
        ("calls", f"{len(kinds):,}: " + ", ".join(f"{count:,} {name}" for name, count in asked.items())),
        ("what did not hold", str(len(soaked.faults))),
        ("attempts that reached the upstream, and those in the ledger", f"{soaked.reached:,}, {soaked.booked:,}"),
    ]
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        rows.append((f"{name} of answers, in each third of the run", _list(drift(soaked, part), "ms")))
    rows += [
        (f"keys revoked: {len(soaked.revoked)}, void at every worker after", _spread(soaked.revoked)),
        (f"estates applied: {len(soaked.applied)}, in force after", _spread(soaked.applied)),
    ]
    for name, looks in soaked.looks.items():
        first = next(one for one in looks if one.at >= looks[-1].at * WARM)
        memory = f"{first.memory / KIB**2:.1f} MiB warm, {looks[-1].memory / KIB**2:.1f} at the end"
        rows.append((f"{name}: memory of its own", f"{memory}, {slope(looks) / KIB:+.1f} KiB a minute"))
        for what, values in (
            ("descriptors", [one.descriptors for one in looks]),
            ("threads", [one.threads for one in looks]),
        ):
            after = f"{values[looks.index(first)]} warm, {values[-1]} at the end, {max(values)} at most"
            rows.append((f"{name}: {what}", after))
    return "\n".join(("| what | found |", "|---|---|", *(f"| {what} | {found} |" for what, found in rows)))


def _list(values: tuple[float, ...], unit: str) -> str:
    return ", ".join(f"{value:.1f}" for value in values) + f" {unit}"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s, {max(values):.2f} s at most" if values else "-"
