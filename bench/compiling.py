"""The compile of a large estate, in a process of its own: `python -m bench.compiling` prints its figures as JSON."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from bench.gateways import Upstreams, declared

from bench import machine, sizes
from trunkline.app.compiling import Compiler
from trunkline.clock import SystemClock
from trunkline.config.environment import Environment
from trunkline.estate.load import load

DEPLOYMENTS = 5_000
USE_CASES = 2_000
POOL = 100  # deployments in each pool
POOLS = 5  # pools of each use case
KIB = 1024


class Compiled(msgspec.Struct, frozen=True):
    """Seconds to read and check the estate, seconds to compile it, and the process' largest size in bytes."""

    load: float
    compile: float
    memory: int


def large() -> dict[str, Any]:
    """Return an estate whose use cases each have some of the pools, and every pool a hundred deployments."""
    estate: dict[str, Any] = declared(Upstreams(1, 2))
    plain = estate["deployments"]["plain"]
    names = [f"d-{number:04}" for number in range(DEPLOYMENTS)]
    pools = [f"p-{number:03}" for number in range(DEPLOYMENTS // POOL)]
    first = iter(names)
    return estate | {
        "deployments": estate["deployments"] | dict.fromkeys(names, plain),
        "pools": estate["pools"] | {name: {"owner": "acme", "tiers": [list(islice(first, POOL))]} for name in pools},
        "use_cases": estate["use_cases"]
        | {
            f"u-{number:04}": {
                "owner": "acme",
                "audience": ["acme"],
                "data_class": "public",
                "pools": [pools[(number * 7 + step) % len(pools)] for step in range(POOLS)],
            }
            for number in range(USE_CASES)
        },
    }


def measure() -> Compiled:
    """Compile it in a process of its own, on the gateway's core."""
    command = machine.pinned(machine.GATEWAY_CORE, [sys.executable, "-m", "bench.compiling"])
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, timeout=300, check=True)
    return msgspec.json.decode(done.stdout, type=Compiled)


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        sizes.write_sections(Path(folder) / "estate", large())
        began = time.perf_counter()
        loaded = load(Path(folder) / "estate")
        read = time.perf_counter()
        compiler = Compiler(loaded.estate, Environment(loaded.folder, os.environ), SystemClock())
        compiler.compile()
        done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    print(msgspec.json.encode(Compiled(read - began, done - read, memory)).decode())


if __name__ == "__main__":
    main()
