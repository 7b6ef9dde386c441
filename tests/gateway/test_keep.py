"""What a caller is told of an answer that was to be put into its conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.store.test_dialogue_table import DIALOGUE

from trunkline.clock import SystemClock
from trunkline.conversations.dialogues import Appended, Item
from trunkline.conversations.recall import Recalled
from trunkline.conversations.turns import Turn
from trunkline.dialects.responses.codec import decode
from trunkline.dialects.responses.dialect import RESPONSES
from trunkline.estate.use_cases import Keeping
from trunkline.gateway.keep import KeptReply
from trunkline.messages import Operation

ANSWER = (
    b'{"id":"theirs","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[]}]}'
)
ASKED = decode(Operation.CHAT, b'{"model":"chat","input":"hi"}')
ITEMS = b'[{"type":"message","id":"msg_0","role":"user","content":[]}]'
DECISION = SimpleNamespace(keeps=Keeping(), unkept=(), use_case="chat", data_class="internal")
ATTEMPT: Any = SimpleNamespace(
    permitted=SimpleNamespace(caller=SimpleNamespace(unit="sales", key="key_1"), asked=ASKED, decision=DECISION),
    endpoint=SimpleNamespace(deployment="gpt"),
)


class Shelf:
    """Conversations that say one after the other what becomes of what is put in."""

    clock = SystemClock()

    def __init__(self, *says: Appended | None) -> None:
        self.says = list(says)
        self.put: list[list[str]] = []

    async def keep_in(self, dialogue: Any, items: Sequence[Item], turn: Turn) -> Appended | None:
        assert (turn.dialogue, turn.unit) == (dialogue.id, "sales")
        assert [msgspec.json.decode(one.content)["id"] for one in items] == [one.id for one in items]
        self.put.append([one.id for one in items])
        return self.says.pop(0)


class Wire:
    """What the caller gets."""

    started = False

    def __init__(self) -> None:
        self.headers, self.body, self.ended = b"", b"", False

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self.headers, self.body = headers, body

    def write(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        self.ended = True


async def answered(shelf: Shelf, *, stream: bool) -> tuple[dict[str, Any], Wire]:
    """The answer as it is told, once it was put in or not."""
    wire: Any = Wire()
    kept = RESPONSES.kept
    assert kept is not None
    recalled = Recalled(asked=ASKED, id=kept.mint(), keeps=True, dialogue=DIALOGUE, items=ITEMS)
    reply = KeptReply(wire, kept, recalled)
    if stream:
        reply.write(b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % ANSWER)
        reply.end()
        assert (wire.body, wire.ended) == (b"", False)
    else:
        reply.send(200, b"", ANSWER)
    await reply.finish(cast("Any", SimpleNamespace(conversations=shelf)), ATTEMPT)
    if not stream:
        return json.loads(wire.body), wire
    assert wire.ended
    told: dict[str, Any] = json.loads(wire.body.split(b"data: ")[1])
    return told["response"], wire


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("says", [Appended.GONE, None])
async def test_an_answer_that_could_not_be_put_in_comes_all_the_same_and_says_so(
    says: Appended | None, stream: bool
) -> None:
    told, wire = await answered(Shelf(says), stream=stream)
    assert (told["store"], told["conversation"], len(told["output"])) == (False, None, 1)
    assert stream or b"x-trunkline-note: not kept" in wire.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_whose_ids_were_taken_meanwhile_is_put_in_under_others(stream: bool) -> None:
    shelf = Shelf(Appended.TWICE, Appended.WELL)
    told, _ = await answered(shelf, stream=stream)
    assert (told["store"], told["conversation"]) == (True, {"id": DIALOGUE.id})
    first, second = shelf.put
    assert first == ["msg_0", "msg_1"]
    assert len({*first, *second}) == 4
