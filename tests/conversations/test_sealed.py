from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests.store.test_dialogue_table import DIALOGUE, ITEM, PLENTY
from tests.store.test_turn_table import FIRST, turn

from trunkline.app.content import content_box
from trunkline.conversations.boxes import make_box
from trunkline.conversations.dialogues import Appended, Span
from trunkline.conversations.errands import Ending, Events, Followed
from trunkline.conversations.sealed import SealedDialogues, SealedErrands, SealedTurns
from trunkline.conversations.turns import Progress, Turn
from trunkline.errors import Unavailable, Unstartable
from trunkline.store.open import Store, open_store

SAID = msgspec.structs.replace(FIRST, items=b'["a secret"]', answer=b'{"output":"another"}')


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "trunkline.db") as store:
        yield store


def found(turns: SealedTurns | Store, one: Turn) -> object:
    return turns.turns_up_to(one.id, 500, 10, 100_000)


def test_what_reaches_the_database_is_encrypted_and_comes_back(store: Store, tmp_path: Path) -> None:
    sealed = SealedTurns(store, make_box(key()))
    sealed.keep_turn(SAID)
    assert found(sealed, SAID) == (SAID,)
    assert found(store, SAID) != (SAID,)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret" not in written
    assert b"another" not in written


def test_keys_are_changed_by_writing_the_new_one_first(store: Store) -> None:
    old, new = key(), key()
    SealedTurns(store, make_box(old)).keep_turn(SAID)
    both = SealedTurns(store, make_box(f"{new} {old}"))
    later = msgspec.structs.replace(SAID, id="resp_2", before=SAID.id)
    both.keep_turn(later)
    assert found(both, later) == (SAID, later)
    with pytest.raises(Unavailable) as caught:
        found(SealedTurns(store, make_box(new)), later)
    assert "no key of this exchange opens it" in caught.value.inside


def test_without_a_key_what_is_open_is_read_and_what_is_encrypted_is_not(store: Store) -> None:
    store.keep_turn(SAID)
    box = make_box(key())
    SealedTurns(store, box).keep_turn(turn(2, None))
    for turns in (SealedTurns(store, None), SealedTurns(store, box)):
        assert found(turns, SAID) == (SAID,)
    with pytest.raises(Unavailable):
        found(SealedTurns(store, None), turn(2, None))


@pytest.mark.parametrize(
    "other", [{"unit": "hr"}, {"use_case": "mail"}, {"data_class": "public"}, {"before": "resp_0"}, {"items": b""}]
)
def test_what_was_tampered_with_or_moved_is_not_read(store: Store, other: dict[str, object]) -> None:
    sealed = SealedTurns(store, make_box(key()))
    sealed.keep_turn(SAID)
    (kept,) = store.turns_up_to(SAID.id, 500, 10, 100_000)  # type: ignore[misc]
    store.forget_turn(SAID.id)
    if "items" in other:
        other = {"items": kept.items[:-1] + bytes([kept.items[-1] ^ 1])}
    store.keep_turn(msgspec.structs.replace(kept, **other))
    with pytest.raises(Unavailable):
        found(sealed, SAID)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty"), ("short", "32 random bytes"), ("!" * 44, "32 random bytes"), ("YWJj", "32 random bytes")],
)
def test_a_key_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unstartable, match=said):
        make_box(text)


def test_a_key_is_only_ever_referred_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert content_box(None) is None
    secret = key()
    with pytest.raises(Unstartable, match="takes a reference") as caught:
        content_box(secret)
    assert secret not in caught.value.inside
    with pytest.raises(Unstartable, match="is not known"):
        content_box("env:TRUNKLINE_TEST_NO_SUCH_KEY")
    path = tmp_path / "content.key"
    path.write_text(secret + "\n")
    monkeypatch.setenv("TRUNKLINE_TEST_CONTENT_KEY", secret)
    for reference in (f"file:{path}", "env:TRUNKLINE_TEST_CONTENT_KEY"):
        box = content_box(reference)
        assert box is not None
        assert box.open(box.seal(b"x", b"here"), b"here") == b"x"
        assert box.open(box.seal(b"x", b"here"), b"there") is None


def test_items_and_metadata_are_encrypted_and_cannot_be_moved(store: Store, tmp_path: Path) -> None:
    box = make_box(key())
    sealed = SealedDialogues(store, box)
    said = msgspec.structs.replace(ITEM, content=b'"a secret"')
    sealed.add_dialogue(DIALOGUE, [said])
    assert sealed.append(DIALOGUE, [msgspec.structs.replace(said, id="msg_2")], SAID, None) is Appended.WELL
    assert sealed.read_dialogue(DIALOGUE.id, 500, PLENTY) == (
        DIALOGUE,
        (said, msgspec.structs.replace(said, id="msg_2")),
    )
    assert sealed.find_item(DIALOGUE, said.id) == said
    assert sealed.page_items(DIALOGUE, Span(9, "msg_2")) == (said,)
    assert sealed.find_items("sales", "chat", [said.id], 500)[said.id].item == said
    assert found(SealedTurns(store, box), SAID) == (SAID,)
    assert sealed.change_dialogue(msgspec.structs.replace(DIALOGUE, metadata=b'{"an":"other secret"}'))
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    (kept,) = store.page_items(DIALOGUE, Span(9, "msg_2")) or ()
    elsewhere = msgspec.structs.replace(DIALOGUE, id="conv_2", metadata=b"")
    store.add_dialogue(elsewhere, [kept])
    readers: list[Callable[[], object]] = [
        lambda: sealed.read_dialogue(elsewhere.id, 500, PLENTY),
        lambda: sealed.find_item(elsewhere, said.id),
        lambda: SealedDialogues(store, None).find_dialogue(DIALOGUE.id, 500),
        lambda: SealedDialogues(store, make_box(key())).find_items("sales", "chat", ["msg_2"], 500),
    ]
    for reads in readers:
        with pytest.raises(Unavailable):
            reads()


def test_an_errand_is_encrypted_from_its_beginning_with_its_stream(store: Store, tmp_path: Path) -> None:
    box = make_box(key())
    sealed = SealedErrands(store, box)
    running = msgspec.structs.replace(SAID, status=Progress.RUNNING, worker="one", alive_until=900)
    SealedTurns(store, box).keep_turn(running)
    sealed.add_events(running, Events(0, 0, b"a secret event"))
    assert sealed.follow_errand(running.id, -1, 500, 10) == Followed(running, (Events(0, 0, b"a secret event"),))
    whole = msgspec.structs.replace(running, status=Progress.WHOLE)
    dialogue = msgspec.structs.replace(DIALOGUE, metadata=b"")
    store.add_dialogue(dialogue, ())
    item = msgspec.structs.replace(ITEM, content=b'["a secret item"]')
    assert sealed.end_errand(Ending(whole, [], Events(1, 1, b"a secret end"), dialogue, [item])) is Appended.WELL
    assert sealed.follow_errand(running.id, 0, 500, 10) == Followed(whole, (Events(1, 1, b"a secret end"),))
    read = SealedDialogues(store, box).read_dialogue(dialogue.id, 500, PLENTY)
    assert isinstance(read, tuple)
    assert read[1] == (item,)
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
