"""One exchange for each module's tests, in front of two scripted upstreams that every test gets as good as new."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.upstreams.scripted import Upstream, in_thread

LANES = 60
EMBEDDER = {"model": "openai/text-embedding-3-small", "capabilities": ["embeddings"], "price": {"input_mtok": 1}}


@pytest.fixture(scope="module")
def vendor_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def spare_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def vendor(vendor_of_module: Upstream) -> Upstream:
    """The upstream that every use case tries first."""
    vendor_of_module.reset()
    return vendor_of_module


@pytest.fixture
def spare(spare_of_module: Upstream) -> Upstream:
    """The upstream behind it, where a use case has a second tier."""
    spare_of_module.reset()
    return spare_of_module


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """Return the estate of the path tests.

    A lane is a use case with deployments of its own, so that a fault that one test plays takes nothing out of the
    others' routing: `lane-N` has a second tier, `alone-N` has none.
    """
    deployments: dict[str, dict[str, Any]] = {
        "gpt": deployment(vendor.url),
        "vectors": deployment(vendor.url, **EMBEDDER),
        "renamed": deployment(vendor.url, upstream_model="vendor-name"),
    }
    tiers: dict[str, list[list[str]]] = {"chat": [["gpt"]], "embed": [["vectors"]], "alias": [["renamed"]]}
    for number in range(LANES):
        deployments[f"first-{number}"] = deployment(vendor.url)
        deployments[f"second-{number}"] = deployment(spare.url, pattern="cloud_shared")
        deployments[f"only-{number}"] = deployment(vendor.url)
        tiers[f"lane-{number}"] = [[f"first-{number}"], [f"second-{number}"]]
        tiers[f"alone-{number}"] = [[f"only-{number}"]]
    made = estate(deployments, tiers)
    of_marketing = made["use_cases"]["chat"] | {"owner": "marketing", "audience": ["marketing"]}
    made["use_cases"] |= {
        "secret": made["use_cases"]["chat"] | {"data_class": "restricted"},
        "drafts": of_marketing,
        "direct": made["use_cases"]["chat"] | {"direct": ["openai/gpt-4.1-mini"]},
    }
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    """The product, running as a child process."""
    folder = tmp_path_factory.mktemp("exchange")
    with exchange(folder, declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture(scope="module")
def key(running: Exchange) -> str:
    """A key of unit finance."""
    return running.key("finance")


@pytest.fixture(scope="module")
def lanes() -> Iterator[int]:
    """Numbers of lanes that no test has used yet."""
    return iter(range(LANES))


@pytest.fixture
def lane(lanes: Iterator[int]) -> int:
    """The number of a lane of the test's own."""
    return next(lanes)


@pytest.fixture
def sdk(running: Exchange, key: str) -> Iterator[openai.OpenAI]:
    """The official SDK; it does not retry, so that every request is seen once."""
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
async def asdk(running: Exchange, key: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """The same, asynchronous."""
    async with openai.AsyncOpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def customer(request: pytest.FixtureRequest) -> str:
    """An end customer of the test's own: `user` in a request, by which its attempts are found in the ledger."""
    return f"{request.node.name[:40]}-{secrets.token_hex(4)}"
