"""Load on a gateway: plain requests by wrk, paced streams by the bench's own client; and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import msgspec
from bench.gateways import Gateway
from bench.question import PATH, body
from bench.streams import Tally

from bench import cpu, machine

SCRIPT = Path(__file__).with_name("load.lua")
BOOKED_WITHIN = 60.0  # seconds
HOLD_PACE = 2.0  # seconds between the chunks of streams that are only held open


class Plain(msgspec.Struct, frozen=True):
    """Plain requests: microseconds of CPU per request, latencies in microseconds, requests per second and in all."""

    cpu: float
    p50: float
    p99: float
    p999: float
    rate: float
    done: float


class Streamed(msgspec.Struct, frozen=True):
    """A run of paced streams: microseconds of CPU per chunk, milliseconds to the first byte, chunks in all.

    `jitter` is the p99, in milliseconds, of how far two chunks lay from their pace when they reached the client.
    """

    cpu: float
    first: float
    jitter: float
    done: float


class Failed(Exception):
    """Not every request was answered 200, or a stream was not whole: the figures would mean nothing."""


def wrk(port: int, model: str, key: str, connections: int, seconds: int) -> dict[str, float]:
    """Run wrk on the load's core and return its figures.

    Raises:
        Failed: when an answer was not 200 or a socket failed.
    """
    command = [machine.find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT)]
    done = subprocess.run(
        machine.pinned(machine.LOAD_CORE, [*command, f"http://127.0.0.1:{port}{PATH}"]),
        env=os.environ | {"BENCH_KEY": key, "BENCH_BODY": body(model, stream=False).decode()},
        cwd=machine.ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if figures["status_errors"] or figures["socket_errors"] or not figures["requests"]:
        raise Failed(f"port {port}, {connections} connections: {figures}")
    return figures


def plain(gateway: Gateway, connections: int, seconds: int) -> Plain:
    """Measure plain requests."""
    before = cpu.spent(gateway.pid)
    figures = wrk(gateway.plain, gateway.plain_model, gateway.key, connections, seconds)
    spent = cpu.spent(gateway.pid) - before
    return Plain(
        cpu=spent / 1000 / figures["requests"],
        p50=figures["p50"],
        p99=figures["p99"],
        p999=figures["p999"],
        rate=figures["requests"] / figures["micros"] * 1e6,
        done=figures["requests"],
    )


def unbooked(gateway: Gateway) -> float:
    """Return how many records of the journal are not in the store yet."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.plain}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith("trunkline_journal_lag_records ")).split()[1])


def _client(gateway: Gateway, *options: str) -> list[str]:
    command = [sys.executable, "-m", "bench.streams", str(gateway.paced), gateway.paced_model, gateway.key, *options]
    return machine.pinned(machine.LOAD_CORE, command)


def rest(gateway: Gateway) -> None:
    """Return once all that was asked of an exchange is booked, so that the next figure does not pay for it.

    Raises:
        Failed: when that takes too long.
    """
    until = time.monotonic() + BOOKED_WITHIN
    while unbooked(gateway):
        if time.monotonic() > until:
            raise Failed(f"{gateway.name} has not booked its records within {BOOKED_WITHIN:g} seconds")
        time.sleep(0.1)


def streamed(gateway: Gateway, streams: int, rounds: int) -> Streamed:
    """Measure paced streams.

    Raises:
        Failed: when a stream was not whole.
    """
    before = cpu.spent(gateway.pid)
    options = ("--streams", str(streams), "--rounds", str(rounds))
    done = subprocess.run(_client(gateway, *options), cwd=machine.ROOT, capture_output=True, timeout=300, check=True)
    spent = cpu.spent(gateway.pid) - before
    tally = msgspec.json.decode(done.stdout, type=Tally)
    if tally.broken or tally.streams != streams * rounds:
        raise Failed(f"{gateway.name}: {tally.broken} of {tally.streams} streams were not whole: {tally.fault}")
    return Streamed(
        cpu=spent / 1000 / tally.chunks,
        first=sorted(tally.first)[len(tally.first) // 2],
        jitter=sorted(tally.off)[len(tally.off) * 99 // 100],
        done=tally.chunks,
    )


def held(gateway: Gateway, streams: int) -> tuple[int, int]:
    """Return the memory of the gateway in bytes, idle and with so many streams open.

    Raises:
        Failed: when not all of them began.
    """
    idle = cpu.resident(gateway.pid)
    options = ("--streams", str(streams), "--hold", "--pace", str(HOLD_PACE))
    with subprocess.Popen(
        _client(gateway, *options), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=machine.ROOT
    ) as client:
        assert client.stdout is not None  # noqa: S101  asked for above
        begun = json.loads(client.stdout.readline())["begun"]
        time.sleep(0.5)  # the memory of a stream that has settled, not of its first moment
        full = cpu.resident(gateway.pid)
        client.communicate()
    if begun != streams:
        raise Failed(f"{gateway.name}: only {begun} of {streams} streams began")
    return idle, full
