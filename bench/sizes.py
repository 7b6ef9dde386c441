"""Estates and key tables of many sizes, to show that what is declared but not asked for costs a request nothing."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
from bench.gateways import KEY_UNIT, Gateway, Upstreams, declared
from tests.path import exchange

from bench import cpu, machine
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.tenancy.mint import mint

BRANCH = 100  # units in each department
IN_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
PER_FILE = 500  # entries: a single file of an estate has a bounded size
READY_WITHIN = 600.0  # seconds; every name is read, checked and compiled first


class Sized(msgspec.Struct, frozen=True):
    """A gateway with an estate of one size, the seconds until it answered, and the bytes it then held, idle."""

    gateway: Gateway
    ready: float
    memory: int


def filled(small: Mapping[str, Any], size: int) -> dict[str, dict[str, Any]]:
    """Return the sections of the estate with `size` units, deployments, pools and use cases.

    What is added stands behind what the small estate has: a tree of units that is three deep, and use cases of those
    units, each with a pool and a deployment of its own.
    """
    names = {
        section: [f"more-{number:05}" for number in range(size - len(small[section]))]
        for section in ("units", "deployments", "use_cases")
    }
    units = {
        name: {
            "parent": names["units"][number - number % BRANCH] if number % BRANCH else "acme",
            "cost_centre": f"CC-{number:05}",
        }
        for number, name in enumerate(names["units"])
    }
    plain = {name: value for name, value in small["deployments"]["plain"].items() if name != "controls"}
    owned = list(zip(names["use_cases"], cycle(units), strict=False))
    return {
        "units": small["units"] | units,
        "deployments": small["deployments"] | dict.fromkeys(names["deployments"], plain),
        "pools": small["pools"] | {name: {"owner": owner, "tiers": [[name]]} for name, owner in owned},
        "use_cases": small["use_cases"]
        | {
            name: {"owner": owner, "audience": [owner], "data_class": "public", "pools": [name]}
            for name, owner in owned
        },
    }


def write(folder: Path, small: Mapping[str, Any], size: int) -> None:
    """Write the estate as a folder of files."""
    write_sections(folder, {**small, **filled(small, size)})


def write_sections(folder: Path, declared: Mapping[str, Any]) -> None:
    """Write an estate as a folder, its large sections split into several files."""
    folder.mkdir(parents=True)
    split = ("units", "deployments", "pools", "use_cases")
    (folder / "estate.json").write_text(json.dumps({key: one for key, one in declared.items() if key not in split}))
    for section in split:
        entries = declared[section]
        items = iter(entries.items())
        for number in range(0, len(entries), PER_FILE):
            part = dict(islice(items, PER_FILE))
            (folder / f"{section}-{number:05}.json").write_text(json.dumps({section: part}))


def fill_keys(folder: Path, units: list[str], size: int) -> str:
    """Make a data folder with so many keys, and return the secret of the one in their middle."""
    asked = ""
    # Each key is a transaction that waits for the disk: ten thousand of them are made where there is none.
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as aside:
        made = DataFolder(Path(aside) / "data")
        with open_store(made.store_path) as store:
            pepper = made.pepper()
            for number, unit in enumerate(islice(cycle(units), size)):
                ours = number == size // 2
                key, secret = mint(KEY_UNIT if ours else unit, pepper=pepper, now=time.time_ns())
                store.add(key)
                if ours:
                    asked = secret
        shutil.copytree(made.path, folder)
    return asked


def _await_answer(running: exchange.Exchange, key: str) -> None:
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        # What it does just after `/readyz` may keep the first who ask waiting.
        with contextlib.suppress(OSError):
            if running.get("/v1/models", key)[0] == 200:
                return
        time.sleep(0.005)
    raise RuntimeError(f"no answer within {READY_WITHIN:g} s of the start")


@contextlib.contextmanager
def trunkline(folder: Path, upstreams: Upstreams, size: int) -> Iterator[Sized]:
    """Run Trunkline on the gateway's core with so many keys, units, deployments and use cases."""
    small = declared(upstreams)
    write(folder / "estate", small, size)
    key = fill_keys(folder / "data", list(filled(small, size)["units"]), size)
    began = time.perf_counter()
    with machine.pinned_children(machine.GATEWAY_CORE):
        # The last `--estate` counts.
        options = ("--no-engine", "--estate", str(folder / "estate"))
        running = exchange.start(folder, small, *options, within=READY_WITHIN)
    try:
        _await_answer(running, key)
        ready = time.perf_counter() - began
        gateway = Gateway(f"{size:,}", running.process.pid, running.port, running.port, "plain", "paced", key)
        yield Sized(gateway, ready, cpu.resident(running.process.pid))
    finally:
        exchange.stop(running)
