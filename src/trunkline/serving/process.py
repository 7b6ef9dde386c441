"""One process of an engine: from its start to its end."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

import trunkline
from trunkline.errors import TrunklineError
from trunkline.estate.endpoints import Address
from trunkline.serving.child import FAILED, READY, Orders
from trunkline.serving.engine_log import EngineLog
from trunkline.serving.probe import healthy
from trunkline.serving.specs import EngineSpec, Pace
from trunkline.serving.weights import Weights

_LONGEST_LINE = 1 << 20
_LOOK_AGAIN = 0.05  # seconds
_KEY_BYTES = 32
# All that an engine's process gets of the environment: the admin key and providers' credentials stay out.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
_INHERITED_FAMILIES = ("CUDA_", "HIP_", "ROCR_", "GGML_")

_SIGNALS: dict[int, str] = {
    signal.SIGKILL: "SIGKILL (out of memory, if nobody sent it)",
    signal.SIGILL: "SIGILL: the engine's wheel is built for a processor with AVX2",
    signal.SIGABRT: "SIGABRT: see its log",
    signal.SIGSEGV: "SIGSEGV",
}


class EngineDied(TrunklineError):
    """The process ended, or was ended because it did not answer; the message says how."""


class EngineProcess:
    """A running child. Made by `launch`; `ready` gives its address, `watch` returns when it is lost, `end` ends it."""

    def __init__(self, process: asyncio.subprocess.Process, key: str, log: EngineLog) -> None:
        self._process = process
        self._key = key
        self._log = log
        self._calls_run = False
        self._pump = asyncio.create_task(self._write_log())
        self._ended = asyncio.create_task(process.wait())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def ready(self, pace: Pace) -> Address:
        """Wait until it has loaded its weights and answers.

        Raises:
            EngineDied: it ended, said why it cannot serve, or took longer than `pace.start`.
        """
        try:
            async with asyncio.timeout(pace.start):
                url = await self._announced()
                self._calls_run = True
                while not await healthy(url, pace.probe_timeout):
                    done, _ = await asyncio.wait({self._ended}, timeout=_LOOK_AGAIN)
                    if done:
                        raise EngineDied(await self._last_words())
        except TimeoutError:
            raise EngineDied(f"it was not ready within {pace.start:g} s") from None
        return Address(url, self._key)

    async def watch(self, address: Address, pace: Pace) -> str:
        """Return, with the reason, when the process has ended or has stopped to answer."""
        failures = 0
        while failures < pace.probe_failures:
            done, _ = await asyncio.wait({self._ended}, timeout=pace.probe_every)
            if done:
                return await self._last_words()
            failures = 0 if await healthy(address.url, pace.probe_timeout) else failures + 1
        return f"it did not answer {pace.probe_failures} times in a row"

    async def end(self, farewell: float) -> None:
        """End it: by the end of its input, else by SIGTERM, else by SIGKILL. Returns when it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for insist in (self._process.terminate, self._process.kill):
            done, _ = await asyncio.wait({self._ended}, timeout=farewell)
            if done:
                break
            with suppress(ProcessLookupError):
                insist()
        await self._ended
        await self._pump

    async def _announced(self) -> str:
        if self._process.stdout is None:
            raise EngineDied("it has no standard output")
        while line := (await self._process.stdout.readline()).decode(errors="replace").strip():
            if line.startswith(READY):
                return line.removeprefix(READY)
            if line.startswith(FAILED):
                await self._ended
                await self._pump
                why = f" ({self._log.last_fault})" if self._log.last_fault else ""
                raise EngineDied(line.removeprefix(FAILED) + why)
        raise EngineDied(await self._last_words())

    async def _last_words(self) -> str:
        code = await self._ended
        await self._pump
        how = _SIGNALS.get(-code, f"signal {-code}") if code < 0 else f"exit code {code}"
        why = f": {self._log.last_fault}" if self._log.last_fault and not self._calls_run else ""
        return f"it ended with {how}{why}"

    async def _write_log(self) -> None:
        if self._process.stderr is None:
            return
        while True:
            try:
                line = await self._process.stderr.readline()
            except ValueError:  # longer than any line of a log; the reader has dropped it
                continue
            if not line:
                return
            self._log.write(line.decode(errors="replace").rstrip(), calls_run=self._calls_run)


async def launch(spec: EngineSpec, weights: Weights, threads: int, log: EngineLog) -> EngineProcess:
    """Start a child with a key of its own.

    Its standard input is the thread it hangs on: only this process may hold the other end, so nothing that is started
    here inherits it (pipes of Python are close-on-exec).

    Raises:
        EngineDied: it could not be started, or ended before it had its orders.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    context = min(spec.context, weights.context or spec.context)
    orders = Orders(str(weights.path), weights.kind, spec.alias, spec.slots, context, threads, key)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "trunkline.serving.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            limit=_LONGEST_LINE,
            start_new_session=True,  # the terminal's Ctrl-C is for the exchange alone
        )
    except OSError as fault:
        raise EngineDied(f"it could not be started: {fault}") from fault
    log.write(f"process {process.pid}: {spec.model}, {spec.slots} slots of {context} tokens, {threads} threads")
    child = EngineProcess(process, key, log)
    if process.stdin is not None:
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
    return child


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith(_INHERITED_FAMILIES)
    }
    here = str(Path(trunkline.__file__).parents[1])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH"))))}
