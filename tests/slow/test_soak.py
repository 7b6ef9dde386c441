"""Half an hour of everything that happens in a long night: nothing goes wrong, and nothing grows."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.soak import slope, soak, table

SECONDS = 1_800
MOST_SLOPE = 200 * 1024
"""Bytes a minute that a worker may gain: less than 200 of each call. The database's caches fill for an hour or more."""
MORE_DESCRIPTORS = 40
"""Connections that are kept, or open at the moment of a look."""
MORE_THREADS = 2


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
async def test_half_an_hour_of_mixed_traffic_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await soak(tmp_path, SECONDS)
    with capsys.disabled():
        print(table(found))  # noqa: T201 - the figures that are wanted
    assert found.faults == []
    for name, looks in found.looks.items():
        assert slope(looks) < MOST_SLOPE, name
        middle = looks[len(looks) // 2]
        assert looks[-1].descriptors < middle.descriptors + MORE_DESCRIPTORS, name
        assert looks[-1].threads <= middle.threads + MORE_THREADS, name
