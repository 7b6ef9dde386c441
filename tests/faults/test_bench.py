"""Fifty seeded scenarios against a live exchange; a thousand in the slow set."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.bench import bench, survived


@pytest.mark.timeout(300)
def test_fifty_calls_through_every_kind_of_fault_are_answered_or_fail_honestly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path) as one:
        broken = one.play(range(50))
    with capsys.disabled():
        print(survived(broken, 50))  # noqa: T201 - the figure that is wanted
    assert broken == []


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_thousand_calls_through_every_kind_of_fault_are_answered_or_fail_honestly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bench(tmp_path) as one:
        broken = one.play(range(1_000, 2_000))
    with capsys.disabled():
        print(survived(broken, 1_000))  # noqa: T201 - the figure that is wanted
    assert broken == []
