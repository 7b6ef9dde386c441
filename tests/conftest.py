"""Fixtures that many rooms share. A room's own stand in its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.upstreams.scripted import Upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An OpenAI-like upstream on a random port, in the test's own loop."""
    async with Upstream() as running:
        yield running
