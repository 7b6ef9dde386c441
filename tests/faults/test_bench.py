"""Fifty seeded scenarios against a live exchange whose clocks jump; in the slow set a thousand with either kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.bench import bench, left_in_store, survived


def play(folder: Path, seeds: range, capsys: pytest.CaptureFixture[str], *, jumps: bool) -> list[str]:
    """Play these scenarios, print how many held, and return what did not."""
    with bench(folder) as one:
        if jumps:
            with one.insight.jumping(seeds.start):
                broken = one.play(seeds)
        else:
            broken = one.play(seeds)
        running = one.running
    broken += left_in_store(running)
    with capsys.disabled():
        print(survived(broken, len(seeds)))  # noqa: T201 - the figure that is wanted
    return broken


@pytest.mark.timeout(300)
def test_fifty_calls_through_every_kind_of_fault_are_answered_or_fail_honestly_while_clocks_jump(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(tmp_path, range(50), capsys, jumps=True) == []


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("jumps", [False, True], ids=["with right clocks", "with clocks that jump"])
def test_a_thousand_calls_through_every_kind_of_fault_are_answered_or_fail_honestly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, jumps: bool
) -> None:
    assert play(tmp_path, range(1_000, 2_000), capsys, jumps=jumps) == []
