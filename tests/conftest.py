"""Fixtures that many rooms share. A room's own stand in its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from tests.upstreams.scripted import Upstream

# The same examples at every run, and nothing fails for being slow on a busy machine.
settings.register_profile("house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An OpenAI-like upstream on a random port, in the test's own loop."""
    async with Upstream() as running:
        yield running
