"""`make bench`: what Trunkline costs beside nginx, in the same minutes on the same core. Nothing fails by time."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from bench.filling import fill
from bench.gateways import Gateway, Upstreams
from bench.question import CHUNKS, PACE
from bench.report import Figure
from bench.sizes import Sized
from bench.turns import Effort, Samples, by_turns, say

from bench import (
    ageing,
    compiling,
    cpu,
    gateways,
    litellm,
    load,
    machine,
    overload,
    pictures,
    report,
    sizes,
    soak,
    threads,
)
from trunkline.store.folder import DataFolder

CONNECTIONS = (1, 16, 64)
STREAMS = 16
OPEN_STREAMS = 1000
LITELLM_WARMS = 10  # seconds: it answers nothing for a while after it listens
SETTLES = 3  # seconds: what a start leaves to be done
RESTS = 5  # seconds at rest for each second of a plain run
REST_MUST = 2.0  # milliseconds of CPU a second
KEYS = 5_000  # that made the calls of a large ledger
FLAT = 1.1  # what a thousandfold estate may cost a request, beside the smallest: the noise of the measurement
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
START_MARK, END_MARK = "<!-- measured -->", "<!-- end of measured -->"
SOAK_FOR_THE_PAGE = 30  # minutes
OVERLOAD_MARKS = "<!-- overload -->", "<!-- end of overload -->"
SOAK_MARKS = "<!-- soaked -->", "<!-- end of soaked -->"
MIB = 1 << 20


QUICK = Effort(runs=2, seconds=1, rounds=1, sizes=(10, 1_000), lifetime=(10_000, 400))


def _sample(gateway: Gateway, upstreams: Upstreams, effort: Effort) -> dict[str, float]:
    """Return one run's figures of one gateway, each by its name."""
    found: dict[str, float] = {}
    direct = load.wrk(upstreams.plain, gateway.plain_model, gateway.key, 1, 1)
    for connections in CONNECTIONS:
        measured = load.plain(gateway, connections, effort.seconds)
        found[f"cpu@{connections}"] = measured.cpu
        found[f"rate@{connections}"] = measured.rate
        if connections == 1:
            found["added p50"] = (measured.p50 - direct["p50"]) / 1000
            found["added p99"] = (measured.p99 - direct["p99"]) / 1000
            found["added p99.9"] = (measured.p999 - direct["p999"]) / 1000
    if gateway.bridged_model:
        load.rest(gateway)
    paced = load.streamed(gateway, STREAMS, effort.rounds)
    found |= {"chunk": paced.cpu, "first": paced.first, "jitter": paced.jitter}
    if gateway.bridged_model:
        across = msgspec.structs.replace(gateway, paced_model=gateway.bridged_model)
        found["across"] = load.streamed(across, STREAMS, effort.rounds).cpu
    return found


def alternate(subjects: tuple[Gateway, ...], upstreams: Upstreams, effort: Effort) -> dict[str, Samples]:
    """Measure the gateways in turns, so that what else the machine does falls on all of them."""
    samples: dict[str, Samples] = {gateway.name: defaultdict(list) for gateway in subjects}
    for gateway in subjects:
        load.plain(gateway, 16, min(effort.seconds, 2))  # connections, caches, branch predictors
    for run in range(effort.runs):
        for gateway in subjects:
            found = _sample(gateway, upstreams, effort)
            for name, value in found.items():
                samples[gateway.name][name].append(value)
            say(
                f"run {run + 1}/{effort.runs} {gateway.name:<10} "
                + "  ".join(f"{name} {value:.2f}" for name, value in found.items() if not name.startswith("rate"))
            )
    return samples


def two_workers(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure two workers, with the process above them, beside one, all on one core."""
    with (
        gateways.trunkline(folder / "worker", upstreams) as one,
        gateways.trunkline(folder / "workers", upstreams, workers=2) as two,
    ):
        samples = by_turns({"one": one, "two": two}, 16, effort)
    name = "CPU per plain request, two workers"
    pair = tuple(samples["two"]), tuple(samples["one"])
    return [Figure(name, "us", *pair, must=1.1, aim=1.0, ratio=True, against="one worker")]


def at_rest(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure what an exchange takes of which nobody asks anything."""
    made = []
    for workers, name in ((1, "CPU at rest"), (2, "CPU at rest, two workers and the process above them")):
        with gateways.trunkline(folder / f"rest-{workers}", upstreams, workers=workers) as gateway:
            time.sleep(SETTLES)
            before, began = cpu.spent(gateway.pid), time.monotonic()
            time.sleep(RESTS * effort.seconds)
            spent = (cpu.spent(gateway.pid) - before) / 1e6 / (time.monotonic() - began)
        made.append(Figure(name, "ms/s", (spent,), must=REST_MUST if workers == 1 else None, places=2))
    return made


def each_policy(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure what each policy costs a request, beside an exchange that has none of them."""
    none, all_of_it = "none of these", "all of these"
    asked = {none: (), **{name: (name,) for name in gateways.POLICIES}, all_of_it: tuple(gateways.POLICIES)}
    with contextlib.ExitStack() as stack:
        subjects = {
            name: stack.enter_context(gateways.trunkline(folder / f"policy-{number}", upstreams, policies=policies))
            for number, (name, policies) in enumerate(asked.items())
        }
        samples = by_turns(subjects, 16, effort)
    without = tuple(samples.pop(none))
    return [
        Figure(f"CPU per plain request, {name}", "us", tuple(found), without, ratio=True, against=none)
        for name, found in samples.items()
    ]


def long_run(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure the memory before and after many requests, connections and streams."""
    with gateways.trunkline(folder / "aged", upstreams) as gateway:
        aged = ageing.age(gateway, *effort.lifetime)
    say(f"a long run: {aged.requests:,} requests, {aged.connections:,} connections, {aged.streams:,} streams")
    name = f"memory after {effort.lifetime[0]:,} requests and {effort.lifetime[1]:,} connections"
    return [Figure(name, "MiB", (aged.old / MIB,), (aged.warm / MIB,), against="before")]


def beside_large_ledger(upstreams: Upstreams, effort: Effort, folder: Path, calls: int) -> list[Figure]:
    """Measure an exchange whose ledger holds so many calls beside one whose ledger is empty; both book what they do."""
    data = DataFolder(folder / "full-ledger" / "data")
    began = time.perf_counter()
    fill(str(data.store_path), calls, keys=KEYS)
    say(f"filled a ledger with {calls:,} calls in {time.perf_counter() - began:.0f} s")
    with (
        gateways.trunkline(folder / "empty-ledger", upstreams) as empty,
        gateways.trunkline(folder / "full-ledger", upstreams) as full,
    ):
        samples = by_turns({"empty": empty, "full": full}, 16, effort)
        rates, behind = [], []
        for _ in range(effort.runs):
            rates.append(load.plain(full, 16, effort.seconds).rate)
            time.sleep(1)
            behind.append(load.unbooked(full))
        late: Samples = defaultdict(list)
        for _ in range(effort.runs):
            for name, gateway in (("empty", empty), ("full", full)):
                late[name].append(load.plain(gateway, 1, effort.seconds).p99 / 1000)
    name, against = f"{calls:,} calls in the ledger", "an empty ledger"
    spent = tuple(samples["full"]), tuple(samples["empty"])
    p99 = tuple(late["full"]), tuple(late["empty"])
    return [
        Figure(f"CPU per plain request, {name}", "us", *spent, must=FLAT, ratio=True, against=against),
        Figure(f"p99 at one connection, {name}", "ms", *p99, against=against, places=2),
        Figure(f"settled calls a second, {name}", "1/s", tuple(rates), places=0),
        Figure("records not booked a second after that", "", tuple(behind), places=0),
    ]


def large_estate() -> list[Figure]:
    """Measure the compile of an estate with many use cases over many deployments."""
    made = compiling.measure()
    size = f"{compiling.DEPLOYMENTS:,} deployments x {compiling.USE_CASES:,} use cases"
    return [
        Figure(f"reading and checking {size}", "s", (made.load,), places=2),
        Figure(f"compiling {size}", "s", (made.compile,), places=2),
        Figure(f"memory, {size}, compiled", "MiB", (made.memory / MIB,)),
    ]


def large_pictures(upstreams: Upstreams, folder: Path) -> list[Figure]:
    """Measure how often a large picture stands in memory, each in an exchange of its own."""
    made = []
    for name, bridged in (("same dialect", False), ("across dialects", True)):
        with gateways.trunkline(folder / f"picture-{bridged}", upstreams) as gateway:
            found = pictures.copies(gateway, bridged=bridged)
        made.append(Figure(f"copies of a 10 MB picture in memory, {name}", "times", (found,), must=3.1))
    return made


def many_sizes(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure estates of several sizes beside the smallest, and what the largest takes to begin with."""
    with contextlib.ExitStack() as stack:
        sized: dict[str, Sized] = {}
        for size in effort.sizes:
            subject = stack.enter_context(sizes.trunkline(folder / f"size-{size}", upstreams, size))
            sized[f"{size:,}"] = subject
            say(f"{size:,} of each: ready after {subject.ready:.2f} s, {subject.memory / MIB:.1f} MiB")
        samples = by_turns({name: one.gateway for name, one in sized.items()}, 16, effort)
    least, *others = sized
    most = others[-1]
    of_each = f"{most} keys, units, use cases, deployments"
    return [
        *(
            Figure(
                f"CPU per plain request, {name} keys, units, use cases, deployments",
                "us",
                tuple(samples[name]),
                tuple(samples[least]),
                must=FLAT,
                ratio=True,
                against=f"{least} of each",
            )
            for name in others
        ),
        Figure(
            f"ready to answer, {of_each}",
            "s",
            (sized[most].ready,),
            (sized[least].ready,),
            against=f"{least} of each",
            places=2,
        ),
        Figure(
            f"memory, idle, {of_each}",
            "MiB",
            (sized[most].memory / MIB,),
            (sized[least].memory / MIB,),
            against=f"{least} of each",
        ),
    ]


def beside_litellm(upstreams: Upstreams, effort: Effort, folder: Path) -> list[Figure]:
    """Measure LiteLLM where it can be installed and answers; where not, say why and return nothing."""
    try:
        with (
            litellm.litellm(folder / "litellm", upstreams) as peer,
            gateways.trunkline(folder / "beside-litellm", upstreams) as ours,
        ):
            load.plain(peer.gateway, 16, LITELLM_WARMS)
            samples = by_turns({"litellm": peer.gateway, "trunkline": ours}, 16, effort)
    except (litellm.NotInstalled, load.Failed) as fault:
        say(f"LiteLLM is left out: {fault}")
        return []
    started = gateways.start_up(folder / "start-beside-litellm", upstreams)
    pair = tuple(samples["trunkline"]), tuple(samples["litellm"])
    name = "CPU per plain request, 16 connections, beside LiteLLM"
    return [
        Figure(name, "us", *pair, ratio=True, against="LiteLLM"),
        Figure("ready to answer, beside LiteLLM", "s", (started,), (peer.ready,), against="LiteLLM", places=2),
    ]


def figures(ours: Samples, beside: Samples, memory: list[tuple[int, int]], started: list[float]) -> list[Figure]:
    """Hold the samples against the budgets."""

    def pair(name: str, key: str, unit: str, **more: float | bool) -> Figure:
        return msgspec.convert(
            {"name": name, "unit": unit, "ours": tuple(ours[key]), "beside": tuple(beside[key]), **more}, Figure
        )

    name, nginx = "CPU per streamed chunk across dialects", tuple(beside["chunk"])
    across = Figure(name, "us", tuple(ours["across"]), nginx, must=4.0, aim=2.5, ratio=True)
    made = [
        pair("CPU per plain request, 1 connection", "cpu@1", "us", ratio=True),
        pair("CPU per plain request, 16 connections", "cpu@16", "us", ratio=True, must=3.0, aim=2.2),
        pair("CPU per plain request, 64 connections", "cpu@64", "us", ratio=True, must=3.0, aim=2.2),
        pair("CPU per streamed chunk, 20 ms pacing", "chunk", "us", ratio=True, must=2.0, aim=1.6),
        across,
        pair("added p50, 1 connection", "added p50", "ms", must=0.3, aim=0.1, places=3),
        pair("added p99, 1 connection", "added p99", "ms", must=1.5, aim=0.5, places=3),
        pair("added p99.9, 1 connection", "added p99.9", "ms", places=3),
        pair("requests per second, 64 connections", "rate@64", "1/s", places=0),
        pair("first byte of a stream", "first", "ms", places=2),
        pair("chunks off their 20 ms pacing, p99", "jitter", "ms", places=2),
    ]
    added = tuple(own - other for own, other in zip(ours["jitter"], beside["jitter"], strict=True))
    made.append(Figure("the same, less that of nginx", "ms", added, places=2))
    if memory:
        idle, full = zip(*memory, strict=True)
        made.append(Figure("memory, idle", "MiB", tuple(value / MIB for value in idle)))
        streams = f"memory, {OPEN_STREAMS:,} open streams"
        made.append(Figure(streams, "MiB", tuple(value / MIB for value in full), must=150, aim=90))
    made.append(Figure("ready to answer, no local model", "s", tuple(started), must=1.5, aim=0.6, places=2))
    return made


def bench(effort: Effort, folder: Path, *, peer: bool = False, ledger: int = 0) -> str:
    """Measure everything, LiteLLM only where `peer` says so, a ledger of `ledger` calls if any; return the table."""
    with gateways.fake_upstreams(folder / "upstreams") as upstreams:
        started = [gateways.start_up(folder / f"start-{number}", upstreams) for number in range(effort.runs)]
        say("ready after " + ", ".join(f"{seconds:.2f} s" for seconds in started))
        with (
            gateways.nginx(folder / "nginx", upstreams) as nginx,
            gateways.trunkline(folder / "trunkline", upstreams) as ours,
        ):
            samples = alternate((nginx, ours), upstreams, effort)
        with gateways.trunkline(folder / "memory", upstreams) as fresh:
            memory = [load.held(fresh, OPEN_STREAMS)]
        more = at_rest(upstreams, effort, folder) + large_pictures(upstreams, folder)
        more += long_run(upstreams, effort, folder) + large_estate()
        more += each_policy(upstreams, effort, folder)
        more += two_workers(upstreams, effort, folder) + many_sizes(upstreams, effort, folder)
        if ledger:
            more += beside_large_ledger(upstreams, effort, folder, ledger)
        if peer:
            more += beside_litellm(upstreams, effort, folder)
    return report.table(figures(samples["trunkline"], samples["nginx"], memory, started) + more)


def profile(effort: Effort, folder: Path) -> None:
    """Print where the time goes: by thread, and by function of the thread that answers."""
    parts: dict[str, Callable[[Gateway], float]] = {
        "plain requests, 16 connections": lambda gateway: load.plain(gateway, 16, effort.seconds * 2).done,
        "paced streams": lambda gateway: load.streamed(gateway, STREAMS, effort.rounds).done,
    }
    with gateways.fake_upstreams(folder / "upstreams") as upstreams:
        for number, (name, run) in enumerate(parts.items()):
            with gateways.trunkline(folder / f"threads-{number}", upstreams) as gateway:
                before = threads.spent(gateway.pid)
                done = run(gateway)
                print(f"\n{name}:", *threads.shares(before, threads.spent(gateway.pid), done), sep="\n")
            found = folder / f"{number}.prof"
            prefix = ("-m", "cProfile", "-o", str(found))
            with gateways.trunkline(folder / f"functions-{number}", upstreams, prefix=prefix) as gateway:
                run(gateway)
            print("\nby function, with the profiler's own cost on every call, and with the start:")
            pstats.Stats(str(found)).strip_dirs().sort_stats("tottime").print_stats(40)


def _written(table: str, measured: str, marks: tuple[str, str] = (START_MARK, END_MARK)) -> None:
    """Put a table between the page's marks, with how it was measured before it."""
    text = PAGE.read_text()
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    shape = f"{machine.model()}, {machine.cores()} cores; {os.uname().sysname} {os.uname().release.split('-')[0]}"
    version = ".".join(map(str, sys.version_info[:3]))
    load = f"Load of the machine at the end: {os.getloadavg()[0]:.1f}."
    PAGE.write_text(f"{before}{marks[0]}\n{shape}; Python {version}.\n{measured}\n{load}\n\n{table}\n{marks[1]}{after}")
    print(f"\nwritten to {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")


def soaked(minutes: float, folder: Path, *, page: bool) -> None:
    """Soak for so long and print what was found; exit with 1 where something did not hold."""
    say(f"{minutes:g} minutes at {soak.RATE:g} calls a second")
    found = asyncio.run(soak.soak(folder, minutes * 60))
    table = soak.table(found)
    print(table, *found.faults, sep="\n")
    if page:
        measured = f"{minutes:g} minutes at {soak.RATE:g} calls a second, {soak.WORKERS} workers, every policy on."
        _written(table, measured, SOAK_MARKS)
    if found.faults:
        sys.exit(1)


def _method(effort: Effort) -> str:
    return (
        f"{effort.runs} alternating runs of {effort.seconds:g} s per plain figure and "
        f"{STREAMS * effort.rounds} streams of {CHUNKS} chunks, {PACE * 1000:g} ms apart."
    )


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name:
        yield Path(name)


def main() -> None:
    """Run the bench."""
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument(
        "--quick", action="store_true", help="rough figures within a minute, without the largest estate; writes no page"
    )
    options.add_argument("--profile", action="store_true", help="show where Trunkline's time goes; writes no page")
    options.add_argument("--litellm", action="store_true", help="measure LiteLLM, too; installs it into .cache first")
    options.add_argument(
        "--soak", type=float, metavar="MINUTES", help="mixed traffic for so long instead; 30 and more write the page"
    )
    options.add_argument("--ledger", type=int, default=0, help="measure beside a ledger of so many calls, too")
    options.add_argument("--only-ledger", action="store_true", help="measure nothing else; writes no page")
    options.add_argument(
        "--overload", action="store_true", help="measure loads beyond a capacity instead, in some minutes"
    )
    options.add_argument("--runs", type=int, help="alternating runs")
    given = options.parse_args()
    effort = QUICK if given.quick else Effort()
    if given.runs:
        effort = msgspec.structs.replace(effort, runs=given.runs)
    machine.raise_open_files()
    if given.soak:
        with _folder() as folder:
            soaked(given.soak, folder, page=given.soak >= SOAK_FOR_THE_PAGE)
        return
    try:
        machine.find("nginx")
        machine.find("wrk")
    except machine.MissingTool as missing:
        sys.exit(str(missing))
    if machine.cores() < 2:
        say("one core only: load and gateway share it, so latencies mean little; CPU per request still does")
    with _folder() as folder:
        if given.profile:
            profile(effort, folder)
            return
        if given.only_ledger:
            with gateways.fake_upstreams(folder / "upstreams") as upstreams:
                print(report.table(beside_large_ledger(upstreams, effort, folder, given.ledger)))
            return
        if given.overload:
            curves = overload.measure(folder)
            print(curves)
            _written(curves, overload.METHOD, OVERLOAD_MARKS)
            return
        table = bench(effort, folder, peer=given.litellm, ledger=given.ledger)
    print(table)
    if not given.quick:
        _written(table, _method(effort))


if __name__ == "__main__":
    main()
