"""The load of the overload curve: requests come at a fixed rate, whatever becomes of those before them.

As a process: `python -m bench.offer PORT MODEL SECONDS UNIT=KEY=RATE...` prints what became of them, by unit, as JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

import msgspec
import uvloop
from bench.question import PATH, body

PATIENCE = 2.0
"""Seconds after which a caller hangs up; an answer that comes later is worth nothing."""
WARM = 3.0
"""Seconds of load before what counts."""
OK = b"200"
SHED = frozenset({b"429", b"503"})

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Fate(msgspec.Struct):
    """What became of one unit's requests: seconds of each that was answered, and how many were not."""

    answered: list[float] = []
    shed: int = 0
    late: int = 0
    failed: int = 0

    @property
    def offered(self) -> int:
        """How many there were."""
        return len(self.answered) + self.shed + self.late + self.failed


class Unit:
    """One unit's callers, who keep the connections that are not in use."""

    def __init__(self, port: int, model: str, key: str) -> None:
        sent = body(model, stream=False)
        head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {key}\r\n"
        head += f"x-stainless-read-timeout: {PATIENCE:g}\r\n"  # As official SDKs tell how long they wait.
        self._request = f"{head}content-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent
        self._port = port
        self._idle: deque[Connection] = deque()
        self.fate = Fate()

    async def ask(self) -> None:
        """Send one request and note what becomes of it."""
        fate = self.fate
        began = asyncio.get_running_loop().time()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
                status, keep = await self._exchange(connection)
        except TimeoutError:
            fate.late += 1
        except (OSError, asyncio.IncompleteReadError):
            fate.failed += 1
        else:
            if status == OK:
                fate.answered.append(asyncio.get_running_loop().time() - began)
            elif status in SHED:
                fate.shed += 1
            else:
                fate.failed += 1
            if keep:
                self._idle.append(connection)
                return
        if connection is not None:
            connection[1].close()

    async def _exchange(self, connection: Connection) -> tuple[bytes, bool]:
        reader, writer = connection
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        return head[9:12], b"connection: close" not in head


async def offer(port: int, model: str, seconds: float, units: dict[str, tuple[str, float]]) -> dict[str, Fate]:
    """Have each unit ask at its rate, evenly spaced, and return what became of what was asked after a while."""
    loop = asyncio.get_running_loop()
    made = {name: Unit(port, model, key) for name, (key, _) in units.items()}
    tasks: set[asyncio.Task[None]] = set()

    async def keep_asking(name: str, rate: float) -> None:
        began = loop.time()
        for number in range(int((WARM + seconds) * rate)):
            if number == int(WARM * rate):
                made[name].fate = Fate()
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            task = loop.create_task(made[name].ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    await asyncio.gather(*(keep_asking(name, rate) for name, (_, rate) in units.items()))
    await asyncio.gather(*tasks)
    return {name: unit.fate for name, unit in made.items()}


def main() -> None:
    """Offer the load that the command line says."""
    port, model, seconds, *units = sys.argv[1:]
    named = {name: (key, float(rate)) for name, key, rate in (one.split("=") for one in units)}
    fates = uvloop.run(offer(int(port), model, float(seconds), named))
    print(msgspec.json.encode(fates).decode())


if __name__ == "__main__":
    main()
