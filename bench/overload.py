"""The overload curve: what becomes of load beyond an upstream's capacity, by gateway, and who gets what is short."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from bench.gateways import KEY, Gateway, Upstreams, await_port
from bench.offer import Fate
from bench.scarce import CAPACITY, SLOTS
from tests.path import exchange

from bench import cpu, gateways, litellm, machine, report

LOADS = (0.5, 1.0, 1.5, 2.0, 3.0, 0.5)
"""Of the capacity; the last one again shows what is left of the overload."""
SECONDS = 5.0
REST = 1.0
"""Seconds between two loads."""
SHARES = {"marketing": 0.7, "finance": 0.15, "sales": 0.15}
"""Of the load, by unit: one asks far more than its part."""
MODEL = "plain"
MIB = 1 << 20
METHOD = f"{len(LOADS)} loads of {SECONDS:g} s each, one after the other."
HEAD = ("gateway", "offered", "answered in time", "p99", "refused", "hung up on", "failed", "fairness", "memory")


class Point(msgspec.Struct, frozen=True):
    """One load at one gateway."""

    gateway: str
    load: float
    fates: dict[str, Fate]
    memory: int

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        fates = self.fates.values()
        answered = sorted(one for fate in fates for one in fate.answered)
        offered = sum(fate.offered for fate in fates)
        p99 = f"{answered[len(answered) * 99 // 100] * 1000:.0f} ms" if answered else "-"
        shares = (sum(getattr(fate, what) for fate in fates) / offered for what in ("shed", "late", "failed"))
        return (
            self.gateway,
            f"{self.load:g} x",
            f"{len(answered) / SECONDS / CAPACITY:.0%}",
            p99,
            *(f"{share:.0%}" for share in shares),
            f"{fairness({name: len(fate.answered) / SECONDS for name, fate in self.fates.items()}, self.load):.2f}",
            f"{self.memory / MIB:.0f} MiB",
        )


def fair_shares(wanted: Mapping[str, float], capacity: float) -> dict[str, float]:
    """Return the max-min fair shares: nobody gets more than it wants, and the others share what is left equally."""
    shares: dict[str, float] = {}
    left = capacity
    for number, name in enumerate(sorted(wanted, key=lambda one: wanted[one])):
        shares[name] = min(wanted[name], left / (len(wanted) - number))
        left -= shares[name]
    return shares


def fairness(served: Mapping[str, float], load: float) -> float:
    """Return Jain's index of what each unit got of its fair share (Jain, Chiu and Hawe, 1984); 0 where none got any."""
    fair = fair_shares({name: share * load * CAPACITY for name, share in SHARES.items()}, CAPACITY)
    got = [min(1.0, served[name] / fair[name]) for name in fair]
    squares = sum(one**2 for one in got)
    return sum(got) ** 2 / (len(got) * squares) if squares else 0.0


@contextlib.contextmanager
def scarce() -> Iterator[Upstreams]:
    """Run the upstream with few slots on the load's core."""
    port = machine.free_port()
    command = [sys.executable, "-m", "bench.scarce", str(port)]
    with machine.running(machine.LOAD_CORE, command) as process:
        await_port(port, process)
        yield Upstreams(port, port)


@contextlib.contextmanager
def trunkline(folder: Path, upstreams: Upstreams) -> Iterator[tuple[Gateway, dict[str, str]]]:
    """Run Trunkline with the upstream's slots declared as its capacity, and a key for each unit."""
    url = f"http://127.0.0.1:{upstreams.plain}/v1"
    estate = exchange.estate({MODEL: exchange.deployment(url, capacity={"concurrency": SLOTS})}, {MODEL: [[MODEL]]})
    estate["units"]["sales"] = {"parent": "acme", "cost_centre": "CC-1400"}
    with machine.pinned_children(machine.GATEWAY_CORE):
        running = exchange.start(folder, estate)
    try:
        keys = {name: running.key(name) for name in SHARES}
        yield Gateway("Trunkline", running.process.pid, running.port, running.port, MODEL, MODEL, ""), keys
    finally:
        exchange.stop(running)


def curve(gateway: Gateway, keys: Mapping[str, str]) -> list[Point]:
    """Offer one load after the other."""
    points = []
    for load in LOADS:
        units = [f"{name}={keys[name]}={share * load * CAPACITY}" for name, share in SHARES.items()]
        command = [sys.executable, "-m", "bench.offer", str(gateway.plain), gateway.plain_model, str(SECONDS), *units]
        done = subprocess.run(
            machine.pinned(machine.LOAD_CORE, command), cwd=machine.ROOT, capture_output=True, timeout=60, check=True
        )
        fates = msgspec.json.decode(done.stdout, type=dict[str, Fate])
        point = Point(gateway.name, load, fates, cpu.resident(gateway.pid))
        print(json.dumps(point.cells()), file=sys.stderr, flush=True)
        points.append(point)
        time.sleep(REST)
    return points


def measure(folder: Path) -> str:
    """Return the curves of nginx, of LiteLLM where it can be had, and of Trunkline, as a table."""
    one_key = dict.fromkeys(SHARES, KEY)
    with scarce() as upstreams:
        with gateways.nginx(folder / "nginx", upstreams) as nginx:
            points = curve(nginx, one_key)
        try:
            with litellm.litellm(folder / "litellm", upstreams) as peer:
                points += curve(peer.gateway, one_key)
        except (litellm.NotInstalled, subprocess.CalledProcessError) as fault:
            print(f"LiteLLM is left out: {fault}", file=sys.stderr)
        with trunkline(folder / "trunkline", upstreams) as (ours, keys):
            points += curve(ours, keys)
    return report.aligned(HEAD, [point.cells() for point in points])
