from __future__ import annotations

import msgspec
import pytest
from tests.store.test_dialogue_table import DIALOGUE, ITEM, PLENTY
from tests.store.test_turn_table import FIRST

from trunkline.conversations.dialogues import Appended
from trunkline.conversations.errands import Ending, Events, Followed
from trunkline.conversations.turns import Belonging, Progress, Turn
from trunkline.store.open import Store

RUNNING = msgspec.structs.replace(
    FIRST, deployment="", answer=b"{}", status=Progress.RUNNING, worker="one", alive_until=200, streams=True
)
WHOLE = msgspec.structs.replace(RUNNING, deployment="gpt", answer=b'{"output":[]}', status=Progress.WHOLE)


def named(turn: Turn, name: str, **more: object) -> Turn:
    return msgspec.structs.replace(turn, id=name, root=name, **more)


def followed(store: Store, name: str = RUNNING.id, after: int = -1) -> Followed:
    found = store.follow_errand(name, after, 150, 10)
    assert found is not None
    return found


def test_an_errand_is_kept_from_its_beginning_and_ends_whole_with_its_stream(store: Store) -> None:
    store.keep_turn(RUNNING)
    assert followed(store) == Followed(RUNNING, ())
    store.add_events(RUNNING, Events(0, 1, b"ab"))
    assert store.end_errand(Ending(WHOLE, ["msg_1"], Events(2, 2, b"c"))) is Appended.WELL
    assert followed(store) == Followed(WHOLE, (Events(0, 1, b"ab"), Events(2, 2, b"c")))
    assert followed(store, after=0).events == (Events(0, 1, b"ab"), Events(2, 2, b"c"))
    assert followed(store, after=1).events == (Events(2, 2, b"c"),)
    assert store.find_items("sales", "chat", ["msg_1"], 150)["msg_1"].turn == WHOLE
    (held,) = store.held_turns(Belonging())
    assert held.bytes == len(WHOLE.items) + len(WHOLE.answer) + 3


def test_the_same_end_told_again_changes_nothing_and_another_one_is_too_late(store: Store) -> None:
    store.keep_turn(RUNNING)
    ending = Ending(WHOLE, ["msg_1"], Events(0, 0, b"a"))
    assert [store.end_errand(ending) for _ in range(2)] == [Appended.WELL] * 2
    failed = msgspec.structs.replace(WHOLE, status=Progress.FAILED)
    assert store.end_errand(Ending(failed)) is Appended.GONE
    assert followed(store).turn == WHOLE


@pytest.mark.parametrize("why", [Progress.CANCELLED, Progress.LOST])
def test_what_was_stopped_is_no_more_its_workers(store: Store, why: Progress) -> None:
    other = named(RUNNING, "resp_2", alive_until=400)
    for one in (RUNNING, other, named(RUNNING, "resp_3", worker="two", alive_until=400)):
        store.keep_turn(one)
    if why is Progress.LOST:
        assert [store.lose_errands(now) for now in (199, 200, 200)] == [0, 1, 0]
    else:
        assert [store.stop_errand(RUNNING.id, why) for _ in range(2)] == [True, False]
    assert store.renew_errands("one", [RUNNING.id, "resp_2", "resp_3"], 900) == {"resp_2"}
    assert (followed(store, "resp_2").turn.alive_until, followed(store, "resp_3").turn.alive_until) == (900, 400)
    assert store.end_errand(Ending(WHOLE)) is Appended.GONE
    store.add_events(RUNNING, Events(0, 0, b"late"))
    assert followed(store) == Followed(msgspec.structs.replace(RUNNING, status=why), ())


def test_an_errand_goes_into_its_conversation_as_a_whole_or_not_at_all(store: Store) -> None:
    store.add_dialogue(DIALOGUE, ())
    for number, dialogue in enumerate((DIALOGUE, DIALOGUE, msgspec.structs.replace(DIALOGUE, id="conv_gone"))):
        begun = named(RUNNING, f"resp_{number}", dialogue=dialogue.id)
        store.keep_turn(begun)
        ending = Ending(named(WHOLE, begun.id, dialogue=dialogue.id), [ITEM.id], None, dialogue, [ITEM])
        said = (Appended.WELL, Appended.TWICE, Appended.GONE)[number]
        assert store.end_errand(ending) is said
        assert followed(store, begun.id).turn.status is (Progress.WHOLE if number == 0 else Progress.RUNNING)
    read = store.read_dialogue(DIALOGUE.id, 150, PLENTY)
    assert isinstance(read, tuple)
    assert [one.id for one in read[1]] == [ITEM.id]


def test_an_errand_that_its_worker_does_not_name_any_more_is_lost_though_others_go_on(store: Store) -> None:
    for name in ("resp_1", "resp_2"):
        store.keep_turn(named(RUNNING, name))
    assert store.renew_errands("one", ["resp_2"], 900) == {"resp_2"}
    assert store.lose_errands(200) == 1
    assert followed(store, "resp_1").turn.status is Progress.LOST
    assert followed(store, "resp_2").turn.status is Progress.RUNNING


def test_events_that_are_told_again_with_more_stand_in_the_stream_once(store: Store) -> None:
    store.keep_turn(RUNNING)
    store.add_events(RUNNING, Events(0, 0, b"a"))
    store.add_events(RUNNING, Events(1, 2, b"bc"))
    store.add_events(RUNNING, Events(1, 3, b"bcd"))
    assert followed(store).events == (Events(0, 0, b"a"), Events(1, 3, b"bcd"))
    assert store.end_errand(Ending(WHOLE, (), Events(1, 4, b"bcde"))) is Appended.WELL
    assert followed(store).events == (Events(0, 0, b"a"), Events(1, 4, b"bcde"))
    (held,) = store.held_turns(Belonging())
    assert held.bytes == len(WHOLE.items) + len(WHOLE.answer) + 5


def test_the_stream_of_an_errand_goes_with_it(store: Store) -> None:
    store.keep_turn(RUNNING)
    store.add_events(RUNNING, Events(0, 0, b"a"))
    assert store.forget_turn(RUNNING.id)
    store.keep_turn(RUNNING)
    assert followed(store).events == ()
    assert store.follow_errand(RUNNING.id, -1, RUNNING.expires_at, 10) is None
