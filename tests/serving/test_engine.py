"""The supervisor over real engines: what it does when they die, hang, change, or lose their exchange."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from trunkline.errors import EngineUnusable
from trunkline.estate.endpoints import Address
from trunkline.serving.engine import Engines
from trunkline.serving.engine_log import EngineLog
from trunkline.serving.process import launch
from trunkline.serving.specs import EngineSpec, Pace, Stage
from trunkline.serving.weights import find_weights

Watch = Callable[[int], Callable[[float], bool]]
Changes = asyncio.Queue[tuple[str, Address | None]]

# A busy machine lets a healthy engine answer late: only who wants an engine to be missed may be impatient.
PACE = Pace(back_off=0.01, probe_every=0.05, probe_timeout=20, farewell=0.3)
IMPATIENT = msgspec.structs.replace(PACE, probe_timeout=0.2)

EXCHANGE = """
import asyncio, json, sys
from pathlib import Path
import uvloop
from trunkline.serving.engine import Engines
from trunkline.serving.specs import EngineSpec

async def main():
    specs = [EngineSpec(name, "sentence-transformers/all-minilm-l6-v2", name, slots=1) for name in ("one", "two")]
    engines = Engines(specs, Path(sys.argv[1]), lambda *_: None, lambda _: None)
    await engines.start()
    await engines.ready()
    print(json.dumps([engines.state("one").pid, engines.state("two").pid]), flush=True)
    await asyncio.Event().wait()

asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[2] == "uvloop" else None).run(main())
"""


@asynccontextmanager
async def running(
    data: Path, *specs: EngineSpec, pace: Pace = PACE, report: Callable[[str], None] = lambda _: None
) -> AsyncIterator[tuple[Engines, Changes]]:
    changes: Changes = asyncio.Queue()
    engines = Engines(specs, data, lambda name, address: changes.put_nowait((name, address)), report, pace=pace)
    await engines.start()
    try:
        yield engines, changes
    finally:
        await engines.stop()


async def next_change(changes: Changes) -> Address | None:
    async with asyncio.timeout(60):
        return (await changes.get())[1]


def pid_of(engines: Engines, name: str) -> int:
    pid = engines.state(name).pid
    assert pid is not None
    return pid


async def test_an_engine_that_is_killed_is_missed_at_once_and_back_under_a_new_key(
    data: Path, vector_spec: EngineSpec
) -> None:
    lines: list[str] = []
    async with running(data, vector_spec, report=lines.append) as (engines, changes):
        first = await next_change(changes)
        await engines.ready()
        assert engines.state("minilm").stage is Stage.READY
        os.kill(pid_of(engines, "minilm"), signal.SIGKILL)
        assert await next_change(changes) is None
        assert engines.state("minilm").stage is Stage.RESTARTING
        second = await next_change(changes)
        assert engines.state("minilm").restarts == 1
        assert engines.state("minilm").stage is Stage.READY
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert len(first.key) >= 32
    # Whoever is first on this data folder also prepares the weights.
    told = [line for line in lines if line.startswith("engine ")]
    assert [line.partition(" after")[0].partition(";")[0] for line in told] == [
        "engine minilm is ready",
        "engine minilm: it ended with SIGKILL (out of memory, if nobody sent it)",
        "engine minilm is ready",
    ]


async def test_an_engine_that_hangs_is_replaced(data: Path, vector_spec: EngineSpec, watch: Watch) -> None:
    async with running(data, vector_spec, pace=IMPATIENT) as (engines, changes):
        await next_change(changes)
        hung = pid_of(engines, "minilm")
        gone = watch(hung)
        os.kill(hung, signal.SIGSTOP)
        assert await next_change(changes) is None
        assert await next_change(changes) is not None
        assert gone(0)
        assert pid_of(engines, "minilm") != hung


async def test_stopping_ends_the_processes_and_says_that_they_are_lost(
    data: Path, vector_spec: EngineSpec, watch: Watch
) -> None:
    async with running(data, vector_spec) as (engines, changes):
        await next_change(changes)
        gone = watch(pid_of(engines, "minilm"))
    assert gone(0)
    assert await next_change(changes) is None


async def test_stopping_while_an_engine_loads_leaves_nothing_behind(
    data: Path, vector_spec: EngineSpec, watch: Watch
) -> None:
    async with running(data, vector_spec) as (engines, changes):
        while engines.state("minilm").pid is None:  # noqa: ASYNC110  # the start is nobody's event
            await asyncio.sleep(0)
        gone = watch(pid_of(engines, "minilm"))
    assert gone(0)
    assert changes.empty()


async def test_a_changed_estate_ends_what_is_gone_and_leaves_what_stays(
    data: Path, vector_spec: EngineSpec, watch: Watch
) -> None:
    other = msgspec.structs.replace(vector_spec, deployment="other")
    async with running(data, vector_spec, other) as (engines, _):
        await engines.ready()
        stays, gone = pid_of(engines, "minilm"), watch(pid_of(engines, "other"))
        await engines.apply([vector_spec])
        assert gone(0)
        assert pid_of(engines, "minilm") == stays
        with pytest.raises(KeyError):
            engines.state("other")


async def test_an_estate_with_unusable_weights_changes_nothing(data: Path, vector_spec: EngineSpec) -> None:
    async with running(data, vector_spec) as (engines, _):
        await engines.ready()
        stays = pid_of(engines, "minilm")
        missing = msgspec.structs.replace(vector_spec, weights="/nowhere/at.gguf")
        with pytest.raises(EngineUnusable, match=r"/nowhere/at\.gguf cannot be read: No such file"):
            await engines.apply([missing])
        assert pid_of(engines, "minilm") == stays


async def test_an_engine_that_never_gets_ready_fails_and_says_why(
    data: Path, tmp_path: Path, vector_spec: EngineSpec
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF\x03\0\0\0" + bytes(16))
    digest = "8e5ea3a4b6a3fba6a3e9d8e3d2d1d2f4"
    spec = msgspec.structs.replace(vector_spec, weights=str(broken), sha256=digest)
    with pytest.raises(EngineUnusable) as unusable:
        await Engines([spec], data, lambda *_: None, lambda _: None).start()
    right = unusable.value.message.split("SHA-256 ")[1].partition(",")[0]
    spec = msgspec.structs.replace(spec, sha256=right)
    async with running(data, spec) as (engines, changes):
        with pytest.raises(
            EngineUnusable, match=f"the engine of minilm does not start: llama.cpp does not load {broken}"
        ):
            await engines.ready()
        assert engines.state("minilm").stage is Stage.FAILED
        assert engines.state("minilm").restarts == PACE.first_tries - 1
        assert changes.empty()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_engines_are_gone_after_the_exchange_is_killed(data: Path, loop: str, watch: Watch) -> None:
    with subprocess.Popen([sys.executable, "-c", EXCHANGE, str(data), loop], stdout=subprocess.PIPE) as exchange:
        assert exchange.stdout is not None
        gone = [watch(pid) for pid in json.loads(exchange.stdout.readline())]
        assert not any(ended(0) for ended in gone)
        exchange.kill()
        assert all(ended(5) for ended in gone)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_engine_started_later_does_not_keep_an_earlier_one_alive(
    data: Path, tmp_path: Path, vector_spec: EngineSpec, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def scenario() -> None:
        weights = find_weights(vector_spec.model, "builtin", None, data, lambda _: None)
        log = EngineLog(tmp_path / "engine.log")
        earlier = await launch(vector_spec, weights, 1, log)
        later = await launch(vector_spec, weights, 1, log)
        await asyncio.gather(earlier.ready(PACE), later.ready(PACE))
        assert earlier._process.stdin is not None
        earlier._process.stdin.close()
        async with asyncio.timeout(5):
            await earlier._ended
        assert not later._ended.done()
        await asyncio.gather(earlier.end(1), later.end(1))
        log.close()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scenario())


async def test_an_engine_gets_neither_the_admin_key_nor_credentials(
    data: Path, vector_spec: EngineSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUNKLINE_ADMIN_KEY", "admin-key-of-16-or-more")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up")
    async with running(data, vector_spec) as (engines, changes):
        address = await next_change(changes)
        folder = Path(f"/proc/{pid_of(engines, 'minilm')}")
        shown = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
    assert address is not None
    assert b"PATH=" in shown
    for secret in ("admin-key-of-16-or-more", "sk-made-up", address.key):
        assert secret.encode() not in shown
