from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from tests.store.test_turn_table import FIRST as TURN

from trunkline.conversations.dialogues import Appended, Bounds, Dialogue, Item, Span
from trunkline.conversations.turns import Belonging, Held, TooMuch
from trunkline.store.open import Store

PLENTY = Bounds(100, 10_000)
DIALOGUE = Dialogue(
    id="conv_1",
    unit="sales",
    use_case="chat",
    key="key_1",
    end_customer="ada",
    data_class="internal",
    made_at=100,
    expires_at=1_000,
    metadata=b'{"a":"b"}',
)
ITEM = Item(
    id="msg_1",
    key="key_1",
    end_customer="ada",
    data_class="internal",
    deployment="gpt",
    made_at=100,
    content=b"{}\x00\xff",
)


def items(*names: str, **more: object) -> list[Item]:
    return [msgspec.structs.replace(ITEM, id=name, **more) for name in names]


def other(number: int, **more: object) -> Dialogue:
    return msgspec.structs.replace(DIALOGUE, id=f"conv_{number}", **more)


def names(found: Sequence[Item] | None) -> list[str]:
    return [one.id for one in found or ()]


def read(store: Store, dialogue: Dialogue = DIALOGUE, now: int = 500) -> list[str]:
    found = store.read_dialogue(dialogue.id, now, PLENTY)
    assert not isinstance(found, TooMuch)
    return [] if found is None else names(found[1])


def test_a_dialogue_comes_back_as_it_was_until_it_expires(store: Store) -> None:
    store.add_dialogue(DIALOGUE, [ITEM])
    assert store.read_dialogue("conv_1", 999, PLENTY) == (DIALOGUE, (ITEM,))
    assert store.find_dialogue("conv_1", 999) == DIALOGUE
    assert store.read_dialogue("conv_1", 1_000, PLENTY) is None
    assert store.find_dialogue("conv_1", 1_000) is None
    assert store.find_dialogue("conv_2", 500) is None


def test_items_are_added_at_the_end_with_their_turn_or_not_at_all(store: Store) -> None:
    store.add_dialogue(DIALOGUE, items("a"))
    assert store.append(DIALOGUE, items("b", "c"), TURN, None) is Appended.WELL
    assert read(store) == ["a", "b", "c"]
    assert store.turns_up_to(TURN.id, 500, 9, 999) == (TURN,)
    later = msgspec.structs.replace(TURN, id="resp_2")
    assert store.append(DIALOGUE, items("d", "a"), later, None) is Appended.TWICE
    assert store.append(other(2), items("d"), later, None) is Appended.GONE
    assert store.append(other(1, use_case="mail"), items("d"), later, None) is Appended.GONE
    assert store.append(DIALOGUE, items("d"), later, Bounds(3, 999)) == TooMuch(4, 4 * len(ITEM.content))
    assert store.append(DIALOGUE, items("d"), later, Bounds(9, 3)) == TooMuch(4, 4 * len(ITEM.content))
    assert read(store) == ["a", "b", "c"]
    assert store.turns_up_to("resp_2", 500, 9, 999) == ()


def test_a_dialogue_that_is_nobodys_yet_becomes_that_of_the_first_use_case(store: Store) -> None:
    free = other(1, use_case="", data_class="", metadata=b"")
    store.add_dialogue(free, ())
    mine = msgspec.structs.replace(free, use_case="chat", expires_at=2_000)
    assert store.append(mine, items("a"), None, PLENTY) is Appended.WELL
    assert store.find_dialogue("conv_1", 1_500) == mine
    assert store.append(msgspec.structs.replace(free, use_case="mail"), items("b"), None, PLENTY) is Appended.GONE
    assert not store.change_dialogue(msgspec.structs.replace(free, use_case="mail"))
    assert store.change_dialogue(msgspec.structs.replace(mine, metadata=b"{}", data_class="public"))
    found = store.find_dialogue("conv_1", 500)
    assert found is not None
    assert (found.metadata, found.data_class) == (b"{}", "public")


def test_one_that_is_too_long_is_counted_and_not_read(store: Store) -> None:
    store.add_dialogue(DIALOGUE, items("a", "b", "c"))
    size = 3 * len(ITEM.content)
    assert store.read_dialogue("conv_1", 500, Bounds(2, 999)) == TooMuch(3, size)
    assert store.read_dialogue("conv_1", 500, Bounds(3, size - 1)) == TooMuch(3, size)
    assert not isinstance(store.read_dialogue("conv_1", 500, Bounds(3, size)), TooMuch)


def test_items_come_in_pages_in_either_order(store: Store) -> None:
    store.add_dialogue(DIALOGUE, items(*"abcd"))
    assert names(store.page_items(DIALOGUE, Span(2))) == ["d", "c"]
    assert names(store.page_items(DIALOGUE, Span(2, "c"))) == ["b", "a"]
    assert names(store.page_items(DIALOGUE, Span(3, "b", newest_first=False))) == ["c", "d"]
    assert store.page_items(DIALOGUE, Span(2, "z")) is None
    assert store.find_item(DIALOGUE, "b") == items("b")[0]
    assert store.forget_item(DIALOGUE, "b")
    assert not store.forget_item(DIALOGUE, "b")
    assert store.find_item(DIALOGUE, "b") is None
    assert store.append(DIALOGUE, items("b"), None, PLENTY) is Appended.WELL
    assert read(store) == ["a", "c", "d", "b"]


def test_items_are_found_by_their_ids_within_a_unit_and_use_case_while_they_last(store: Store) -> None:
    store.add_dialogue(DIALOGUE, items("a"))
    store.keep_turn(TURN, ["b", "b", "c"])
    found = store.find_items("sales", "chat", ["a", "b", "z"], 500)
    assert set(found) == {"a", "b"}
    assert (found["a"].item, found["a"].dialogue, found["b"].turn) == (items("a")[0], "conv_1", TURN)
    for unit, use_case, now in (("hr", "chat", 500), ("sales", "mail", 500), ("sales", "chat", 1_000)):
        assert store.find_items(unit, use_case, ["a", "b"], now) == {}
    store.forget_turn(TURN.id)
    store.forget_dialogue("conv_1")
    assert store.find_items("sales", "chat", ["a", "b"], 500) == {}


def test_what_has_expired_is_swept_with_all_that_is_in_it(store: Store) -> None:
    for number in range(1, 4):
        store.add_dialogue(other(number, expires_at=number), items(f"m{number}"))
    assert store.sweep_dialogues(2, 1) == 1
    assert store.sweep_dialogues(2, 9) == 1
    assert store.sweep_dialogues(2, 9) == 0
    assert [(one.dialogues, one.items) for one in store.held_turns(Belonging())] == [(1, 1)]


@pytest.mark.parametrize(
    ("whose", "before", "erased", "left"),
    [
        (Belonging(unit="sales"), None, 4, []),
        (Belonging(key="key_2"), None, 1, ["conv_1", "conv_2"]),
        (Belonging(end_customer="bob"), None, 2, ["conv_1"]),
        (Belonging(), 150, 3, ["conv_2"]),
        (Belonging(unit="hr"), None, 0, ["conv_1", "conv_2"]),
    ],
)
def test_dialogues_and_single_items_are_erased_by_whom_they_belong_to(
    store: Store, whose: Belonging, before: int | None, erased: int, left: list[str]
) -> None:
    store.add_dialogue(DIALOGUE, items("a", "b"))
    store.append(DIALOGUE, items("c", key="key_2"), None, PLENTY)
    store.add_dialogue(other(2, end_customer="bob", made_at=200), items("d", end_customer="bob", made_at=200))
    store.append(other(2), items("e", made_at=100), None, PLENTY) if before else None
    if whose.end_customer:
        store.append(DIALOGUE, items("f", end_customer="bob"), None, PLENTY)
    if before:
        erased += 1
    assert store.erase_dialogues(whose, before) == erased
    assert [one for one in ("conv_1", "conv_2") if store.find_dialogue(one, 500)] == left


def test_what_is_kept_is_summed_with_turns(store: Store) -> None:
    store.add_dialogue(DIALOGUE, items("a", "b", made_at=300))
    store.keep_turn(TURN)
    size = len(DIALOGUE.metadata) + 2 * len(ITEM.content) + len(TURN.items) + len(TURN.answer)
    assert list(store.held_turns(Belonging())) == [Held("sales", "chat", 1, 1, 2, size, 100, 300)]
