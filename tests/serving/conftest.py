from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import uvloop

from trunkline.estate.endpoints import Address
from trunkline.serving.engine import Engines
from trunkline.serving.specs import EngineSpec

CHAT = EngineSpec("smol", "huggingface/smollm2-135m-instruct", "smollm2-135m-instruct", slots=4, context=512)
VECTORS = EngineSpec("minilm", "sentence-transformers/all-minilm-l6-v2", "all-minilm-l6-v2", slots=2)

Watch = Callable[[int], Callable[[float], bool]]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all tests: the embedding weights are made once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def vector_spec() -> EngineSpec:
    """The engine that is ready soonest."""
    return VECTORS


@pytest.fixture(scope="session")
def addresses(data: Path) -> Iterator[dict[str, Address | None]]:
    """Both builtin engines, kept on uvloop in a thread, as the exchange keeps them on its own loop."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    found: dict[str, Address | None] = {}
    engines = Engines((CHAT, VECTORS), data, found.__setitem__, lambda _: None)

    async def begin() -> None:
        await engines.start()
        await engines.ready()

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(engines.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="session")
def chat(addresses: dict[str, Address | None]) -> Iterator[openai.OpenAI]:
    """SmolLM2 as the official SDK meets it."""
    with client(addresses["smol"]) as made:
        yield made


@pytest.fixture(scope="session")
def vectors(addresses: dict[str, Address | None]) -> Iterator[openai.OpenAI]:
    """MiniLM as the official SDK meets it."""
    with client(addresses["minilm"]) as made:
        yield made


def client(address: Address | None) -> openai.OpenAI:
    assert address is not None
    return openai.OpenAI(base_url=f"{address.url}/v1", api_key=address.key, max_retries=0, timeout=60)


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Tells of a process id whether it is gone within so many seconds, also when it is nobody's child."""
    descriptors = []

    def begin(pid: int) -> Callable[[float], bool]:
        descriptor = os.pidfd_open(pid)
        descriptors.append(descriptor)
        return lambda seconds: bool(select.select([descriptor], [], [], seconds)[0])

    yield begin
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A child that has not had its orders yet."""
    with subprocess.Popen(
        [sys.executable, "-m", "trunkline.serving.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process
        process.kill()
