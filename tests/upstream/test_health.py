"""What processes tell each other of a deployment, and what is forgotten when it changes."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from tests.upstream.made import Clock, permitted
from tests.upstream.test_route import A, B, down, drive, names, open_breaker, throttled, well

from trunkline.clock import NANOS_PER_SECOND as SECOND
from trunkline.upstream.health import Event, Health, Mark


class Pair:
    """Two processes on one machine, each telling the other."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[Mark] = []
        self.one = Health(self.clock, tell=self._tell)
        self.other = Health(self.clock)

    def _tell(self, mark: Mark) -> None:
        self.told.append(mark)
        self.other.take(mark, {"a": A, "b": B}.get(mark.deployment))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_what_one_found_dead_the_other_leaves_alone_unasked(pair: Pair) -> None:
    open_breaker(pair.one, pair.clock, A)
    assert names(drive(permitted((A,), (B,)), pair.other, pair.clock, well)[0]) == ["b"]


def test_the_one_that_found_it_probes_first_and_its_return_is_told(pair: Pair) -> None:
    open_breaker(pair.one, pair.clock, A)
    pair.clock.at += SECOND
    assert names(drive(permitted((A,), (B,)), pair.other, pair.clock, well)[0]) == ["b"]
    assert names(drive(permitted((A,), (B,)), pair.one, pair.clock, well)[0]) == ["a"]
    assert [mark.event for mark in pair.told] == [Event.OPENED, Event.CLOSED]
    drawn = Counter(names(drive(permitted((A,), (B,)), pair.other, pair.clock, well)[0])[0] for _ in range(200))
    assert 0 < drawn["a"] < 80


def test_if_the_finder_is_gone_the_other_probes_by_itself_within_fifteen_seconds(pair: Pair) -> None:
    open_breaker(pair.one, pair.clock, A)
    for _ in range(15):
        pair.clock.at += SECOND
        made, _ = drive(permitted((A,), (B,)), pair.other, pair.clock, well)
        if names(made) == ["a"]:
            return
    pytest.fail("the other one never looks")


def test_a_pause_is_told_and_kept_by_all(pair: Pair) -> None:
    drive(permitted((A,), (B,)), pair.one, pair.clock, throttled("a", 20))
    pair.clock.at += 19 * SECOND
    assert names(drive(permitted((A,), (B,)), pair.other, pair.clock, well)[0]) == ["b"]
    pair.clock.at += SECOND
    assert names(drive(permitted((A,), (B,)), pair.other, pair.clock, well)[0]) == ["a"]


def test_marks_of_deployments_that_are_not_in_force_here_change_nothing(pair: Pair) -> None:
    pair.other.take(Mark("x", Event.OPENED, 1.0), None)
    assert not pair.other.gauges


def test_marks_travel(pair: Pair) -> None:
    mark = Mark("a", Event.PAUSED, 1.5)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(mark), type=Mark) == mark


def test_a_deployment_that_stands_elsewhere_begins_with_a_clean_record(pair: Pair) -> None:
    open_breaker(pair.one, pair.clock, A)
    moved = msgspec.structs.replace(A, headers=b"authorization: another\r\n")
    pair.one.renew({"a": A}, {"a": moved})
    assert names(drive(permitted((moved,), (B,)), pair.one, pair.clock, well)[0]) == ["a"]


def test_one_that_stands_where_it_stood_keeps_its_record(pair: Pair) -> None:
    open_breaker(pair.one, pair.clock, A)
    pair.one.renew({"a": A}, {"a": msgspec.structs.replace(A, price=B.price)})
    assert names(drive(permitted((A,), (B,)), pair.one, pair.clock, well)[0]) == ["b"]


def test_what_is_under_way_is_counted_and_comes_back_to_nothing(pair: Pair) -> None:
    for _ in range(30):
        drive(permitted((A,), (B,)), pair.one, pair.clock, down("a"))
    assert {(load.deployment, load.calls, load.tokens) for load in pair.one.loads()} == {("a", 0, 0), ("b", 0, 0)}
    assert {load.deployment: load.out["open"] for load in pair.one.loads()} == {"a": 1, "b": 0}


def test_another_exchanges_word_counts_unless_ones_own_calls_go_well(clock: Clock) -> None:
    here = Health(clock)
    heard = Mark("a", Event.OPENED, 1.0)
    drive(permitted((A,), (B,)), here, clock, well)
    here.take_from_afar(heard, A)
    assert names(drive(permitted((A,), (B,)), here, clock, well)[0]) == ["a"]
    clock.at += 6 * SECOND
    here.take_from_afar(heard, A)
    assert names(drive(permitted((A,), (B,)), here, clock, well)[0]) == ["b"]
    clock.at += 4 * SECOND
    assert names(drive(permitted((A,), (B,)), here, clock, well)[0]) == ["a"]


def test_another_exchanges_word_of_an_unknown_deployment_is_passed_over(clock: Clock) -> None:
    here = Health(clock)
    here.take_from_afar(Mark("gone", Event.OPENED, 1.0), None)
    assert not here.gauges
