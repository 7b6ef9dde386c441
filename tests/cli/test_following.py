from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from trunkline.cli.following import Follower
from trunkline.clock import NANOS_PER_SECOND
from trunkline.metering.ports import LedgerStore
from trunkline.metering.records import AttemptRow, Status

if TYPE_CHECKING:
    from tests.cli.conftest import Shelf

NOON = 1_790_000_000_000_000_000
Make = Callable[..., AttemptRow]


def names(rows: tuple[AttemptRow, ...]) -> list[str]:
    return [row.request for row in rows]


def test_each_attempt_is_told_once_and_only_when_it_has_ended(row: Make, shelf: Shelf) -> None:
    shelf.put(row(request="old", at=NOON))
    shelf.put(row(request="slow", at=NOON + 1, status=Status.OPEN))
    follower = Follower(cast("LedgerStore", shelf), 10)
    assert names(follower.fresh()) == ["old"]
    for second in range(1, 60):
        shelf.put(row(request=f"later-{second}", at=NOON + second * NANOS_PER_SECOND))
        assert names(follower.fresh()) == [f"later-{second}"]
    shelf.put(row(request="slow", at=NOON + 1, status=Status.OK))
    assert names(follower.fresh()) == ["slow"]
    assert follower.fresh() == ()


def test_an_attempt_that_is_drained_late_is_still_told(row: Make, shelf: Shelf) -> None:
    follower = Follower(cast("LedgerStore", shelf), 10)
    shelf.put(row(request="first", at=NOON + 5 * NANOS_PER_SECOND))
    assert names(follower.fresh()) == ["first"]
    shelf.put(row(request="drained-late", at=NOON))
    assert names(follower.fresh()) == ["drained-late"]


def test_no_more_of_the_past_is_told_than_was_asked_for(row: Make, shelf: Shelf) -> None:
    for second in range(9):
        shelf.put(row(request=f"past-{second}", at=NOON + second * NANOS_PER_SECOND))
    follower = Follower(cast("LedgerStore", shelf), 2)
    assert names(follower.fresh()) == ["past-7", "past-8"]
    assert follower.fresh() == ()
