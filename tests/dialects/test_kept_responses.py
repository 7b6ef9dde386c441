"""Answers of Responses that the exchange keeps: what is sent again, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.keeping import Before, Marks, Past
from trunkline.dialects.responses.codec import decode
from trunkline.dialects.responses.kept import (
    is_ours,
    items_of,
    mark,
    mark_event,
    mint,
    read_page,
    read_wish,
    resume,
    write_items,
)
from trunkline.errors import Malformed
from trunkline.messages import Asked, Operation

MARKS = Marks("resp_kept_1", "resp_kept_0", kept=True)
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "opaque"}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": []}


def asked(**fields: Any) -> Asked:
    return decode(Operation.CHAT, json.dumps({"model": "m", **fields}).encode())


def past(*output: dict[str, Any], deployment: str = "gpt", items: list[Any] | None = None) -> Past:
    return Past(json.dumps(items or []).encode(), json.dumps({"output": list(output)}).encode(), deployment)


def prompt(resumed: Asked) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(bytes(resumed.fields["input"]))
    return made


def test_thoughts_go_back_only_to_the_deployment_that_answered_last_and_thought_them() -> None:
    turns = (past(THOUGHT | {"encrypted_content": "old"}, SAID, deployment="claude"), past(THOUGHT, SAID))
    resumed = resume(asked(input="hi", previous_response_id="x"), Before(turns))
    assert [item["type"] for item in prompt(resumed)] == ["message", "message", "message"]
    thoughts = resumed.thoughts
    assert thoughts is not None
    assert (thoughts.deployment, thoughts.field) == ("gpt", "input")
    told = json.loads(thoughts.value)
    assert [item["type"] for item in told] == ["message", "reasoning", "message", "message"]
    assert told[1] == THOUGHT
    assert resumed.prompt_bound >= len(thoughts.value)


def test_thoughts_go_back_also_where_something_was_put_in_after_them() -> None:
    result = {"type": "function_call_output", "call_id": "call_1", "output": "12 degrees"}
    said = (past(THOUGHT, SAID), past(items=[result], deployment=""))
    thoughts = resume(asked(input="hi", conversation="x"), Before(said)).thoughts
    assert thoughts is not None
    assert thoughts.deployment == "gpt"


def test_a_thought_that_nobody_could_take_up_again_is_not_sent() -> None:
    resumed = resume(asked(input="hi"), Before([past(THOUGHT | {"encrypted_content": None}, SAID)]))
    assert resumed.thoughts is None


def test_items_are_sent_without_the_ids_under_which_they_were_told_unless_only_those_say_what_they_are() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "x"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    resumed = resume(
        asked(previous_response_id="x"),
        Before([past(call, search, SAID, items=json.loads(items_of(asked(input="hi"))))]),
    )
    assert [item.get("id") for item in prompt(resumed)] == [None, None, "ws_1", None]
    assert prompt(resumed)[1]["call_id"] == "call_1"
    assert "previous_response_id" not in resumed.fields
    assert bytes(resumed.fields["store"]) == b"false"


def test_a_resumed_call_is_held_for_what_it_says_and_no_more() -> None:
    alone = asked(input="hi", previous_response_id="resp_1")
    assert alone.prompt_bound >= 2_000_000
    assert resume(alone, Before([past(SAID)])).prompt_bound < 1_000


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        ("hi", [("message", "user", "input_text")]),
        ([{"role": "assistant", "content": "hi"}], [("message", "assistant", "output_text")]),
        ([{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], [("message", "user", "input_text")]),
    ],
)
def test_what_was_asked_is_listed_as_items_with_ids(given: Any, listed: list[tuple[str, str, str]]) -> None:
    items = json.loads(items_of(asked(input=given)))
    assert [(item["type"], item["role"], item["content"][0]["type"]) for item in items] == listed
    assert all(item["id"].startswith("msg_") for item in items)


def test_pages_of_items_go_on_after_an_item_in_either_order() -> None:
    turns = [past(SAID, items=[{"type": "message", "id": f"m{n}", "role": "user"} for n in range(3)]), past()]
    first = json.loads(write_items(turns, "limit=3&order=asc"))
    assert ([one["id"] for one in first["data"]], first["has_more"]) == (["m0", "m1", "m2"], True)
    rest = json.loads(write_items(turns, f"order=asc&after={first['last_id']}"))
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (["msg_1"], False)
    assert json.loads(write_items(turns, "limit=1"))["data"] == [SAID]
    assert json.loads(write_items([past()], ""))["data"] == []
    for query in ("limit=101", "limit=x", "order=up", "after=none"):
        with pytest.raises(Malformed):
            write_items(turns, query)
    with pytest.raises(Malformed, match="no item here"):
        read_page("after=%00")


def test_an_answer_is_told_under_the_exchanges_own_id_and_keeps_all_else() -> None:
    told = json.loads(mark(b'{"id":"resp_theirs","status":"completed","x":1.50,"output":[]}', MARKS) or b"")
    assert told == {
        "id": "resp_kept_1",
        "status": "completed",
        "x": 1.5,
        "output": [],
        "previous_response_id": "resp_kept_0",
        "store": True,
    }


@pytest.mark.parametrize(
    "body", [b"[1]", b"no JSON", b'{"status":"failed"}', b'{"status":7}', b'{"output":{}}', b"\xff"]
)
def test_what_nobody_could_go_on_from_is_not_kept(body: bytes) -> None:
    assert mark(body, MARKS) is None


@pytest.mark.parametrize(
    "event", [b": ping\n\n", b"data: [DONE]\n\n", b'data: {"response"\n\n', b'data: {"response":7}\n\n']
)
def test_an_event_without_an_answer_goes_on_as_it_is(event: bytes) -> None:
    assert mark_event(event, MARKS) == (event, False)


def test_only_the_last_event_of_a_whole_answer_ends_it() -> None:
    for kind, ends in (("created", False), ("completed", True), ("incomplete", True), ("failed", False)):
        event = b'event: x\ndata: {"type":"response.%b","response":{"id":"theirs"}}\n\n' % kind.encode()
        marked, last = mark_event(event, MARKS)
        assert b"theirs" not in marked
        assert last is ends


@pytest.mark.parametrize("fields", [{"previous_response_id": 7}, {"store": "yes"}])
def test_a_wish_of_the_wrong_type_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        read_wish(asked(input="hi", **fields))
    assert caught.value.param == next(iter(fields))


def test_a_reference_is_seen_however_it_is_spelled() -> None:
    spelled = b'{"model":"m","input":[{"role":"user","content":"x"},{"type":"item\\u005freference","id":"a"}]}'
    assert read_wish(decode(Operation.CHAT, spelled)).references == {"input[1]": "a"}
    assert read_wish(asked(input="an item_reference")).references == {}


def test_ids_are_of_one_make_and_cannot_be_guessed() -> None:
    made = {mint() for _ in range(100)}
    assert len(made) == 100
    assert all(map(is_ours, made))
    assert not any(map(is_ours, ("resp_0123", "resp_kept_", "", "resp_kept_" + "0" * 33)))
