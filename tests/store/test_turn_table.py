from __future__ import annotations

import msgspec
import pytest

from trunkline.conversations.turns import Belonging, Held, TooMuch, Turn
from trunkline.store.open import Store

FIRST = Turn(
    id="resp_1",
    before=None,
    root="resp_1",
    unit="sales",
    use_case="chat",
    key="key_1",
    end_customer="ada",
    data_class="internal",
    deployment="gpt",
    made_at=100,
    expires_at=1_000,
    items=b"[]",
    answer=b"{}\x00\xff",
)


def turn(number: int, before: int | None, **more: object) -> Turn:
    previous = None if before is None else f"resp_{before}"
    return msgspec.structs.replace(FIRST, id=f"resp_{number}", before=previous, made_at=100 + number, **more)


def keep(store: Store, *turns: Turn) -> None:
    for one in turns:
        store.keep_turn(one)


def chain(store: Store, number: int, now: int = 500) -> list[str]:
    found = store.turns_up_to(f"resp_{number}", now, 100, 10_000)
    assert not isinstance(found, TooMuch)
    return [one.id for one in found]


def test_a_turn_comes_back_as_it_was_with_all_before_it_oldest_first(store: Store) -> None:
    branch = turn(4, 2)
    keep(store, FIRST, turn(2, 1), turn(3, 2), branch)
    assert store.turns_up_to("resp_1", 500, 10, 1_000) == (FIRST,)
    assert store.turns_up_to("resp_4", 500, 10, 1_000) == (FIRST, turn(2, 1), branch)
    assert store.turns_up_to("resp_9", 500, 10, 1_000) == ()


def test_a_chain_ends_where_a_turn_has_expired_or_was_erased(store: Store) -> None:
    keep(store, turn(1, None, expires_at=500), turn(2, 1), turn(3, 2), turn(4, 3))
    assert chain(store, 4, now=499) == ["resp_1", "resp_2", "resp_3", "resp_4"]
    assert chain(store, 4, now=500) == ["resp_2", "resp_3", "resp_4"]
    assert store.forget_turn("resp_3")
    assert not store.forget_turn("resp_3")
    assert chain(store, 4) == ["resp_4"]
    assert chain(store, 4, now=1_000) == []


def test_a_conversation_that_is_too_long_is_counted_and_not_read(store: Store) -> None:
    keep(store, FIRST, *(turn(number, number - 1) for number in range(2, 8)))
    size = len(FIRST.items) + len(FIRST.answer)
    assert store.turns_up_to("resp_7", 500, 7, 7 * size) != TooMuch(7, 7 * size)
    assert store.turns_up_to("resp_7", 500, 6, 1_000) == TooMuch(7, 7 * size)
    assert store.turns_up_to("resp_7", 500, 10, 7 * size - 1) == TooMuch(7, 7 * size)


def test_what_has_expired_is_swept_so_many_at_a_time(store: Store) -> None:
    keep(store, *(turn(number, None, expires_at=number) for number in range(1, 6)))
    assert store.sweep_turns(4, 3) == 3
    assert store.sweep_turns(4, 3) == 1
    assert store.sweep_turns(4, 3) == 0
    assert chain(store, 5, now=4) == ["resp_5"]


@pytest.mark.parametrize(
    ("whose", "before", "left"),
    [
        (Belonging(unit="sales"), None, [4]),
        (Belonging(unit="sales", use_case="chat"), None, [2, 4]),
        (Belonging(key="key_1"), None, []),
        (Belonging(end_customer="bob"), None, [1, 2, 4]),
        (Belonging(unit="sales"), 102, [2, 3, 4]),
    ],
)
def test_turns_are_erased_by_whom_they_belong_to(
    store: Store, whose: Belonging, before: int | None, left: list[int]
) -> None:
    keep(store, FIRST, turn(2, None, use_case="mail"), turn(3, None, end_customer="bob"), turn(4, None, unit="hr"))
    assert store.erase_turns(whose, before) == 4 - len(left)
    assert [number for number in range(1, 5) if chain(store, number)] == left


def test_what_is_kept_is_summed_by_unit_and_use_case(store: Store) -> None:
    keep(store, FIRST, turn(2, 1), turn(3, None, unit="hr"))
    size = len(FIRST.items) + len(FIRST.answer)
    assert list(store.held_turns(Belonging())) == [
        Held("hr", "chat", 1, 0, 0, size, 103, 103),
        Held("sales", "chat", 2, 0, 0, 2 * size, 100, 102),
    ]
    assert list(store.held_turns(Belonging(unit="hr"))) == [Held("hr", "chat", 1, 0, 0, size, 103, 103)]
