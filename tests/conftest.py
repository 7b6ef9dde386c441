"""Fixtures that many rooms share. A room's own stand in its folder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from tests.postgres.sharing import Shared
from tests.upstreams.scripted import Upstream

# The same examples at every run, and nothing fails for being slow on a busy machine.
settings.register_profile("house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An OpenAI-like upstream on a random port, in the test's own loop."""
    async with Upstream() as running:
        yield running


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The Postgres of the whole session, for all its workers; started when the first test asks for it."""
    folder = tmp_path_factory.getbasetemp()
    shared = Shared(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)
    yield shared
    shared.close()


@pytest.fixture
def postgres_url(postgres: Shared) -> Iterator[str]:
    """The URL of a Postgres database of the test's own, with the product's tables."""
    with postgres.database() as url:
        yield url
