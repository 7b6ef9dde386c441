"""OpenAI's SDK makes conversations with ids of their own, which the exchange keeps under policy."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.conversations.kept import (
    DOORS,
    STREAMED,
    TOOLS,
    USE_CASE,
    WHOLE,
    answered,
    declared,
    of,
    said,
    sent,
    stored,
)
from tests.path.exchange import Exchange, exchange
from tests.path.raw import ask
from tests.upstreams.script import TOOL_CALL, Script
from tests.upstreams.scripted import Upstream


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("model", DOORS)
def test_turns_of_a_conversation_are_put_into_it_over_a_deployment_of_any_dialect(
    sdk: openai.OpenAI, vendor: Upstream, model: str, stream: bool
) -> None:
    made = sdk.conversations.create()
    assert (made.object, made.metadata) == ("conversation", {})
    first = answered(sdk, stream, model=model, input="I am Ada.", conversation=made.id)
    assert (first.output_text, first.store, first.conversation.id) == (WHOLE, True, made.id)
    second = answered(sdk, stream, model=model, input="Who am I?", conversation={"id": made.id})
    assert second.previous_response_id is None
    got = vendor.received[-1].body.decode()
    places = [got.find("I am Ada."), got.find(WHOLE), got.find("Who am I?")]
    assert places == sorted(places)
    assert -1 not in places
    assert "conv_kept_" not in got
    assert '"conversation"' not in got
    assert said(sdk, made.id) == ["user: I am Ada.", f"assistant: {WHOLE}", "user: Who am I?", f"assistant: {WHOLE}"]
    assert sdk.responses.retrieve(second.id).to_dict() == second.to_dict()


def test_a_conversation_is_made_filled_changed_read_and_erased(sdk: openai.OpenAI, vendor: Upstream) -> None:
    items: list[Any] = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hello, Ada."}]
    made = sdk.conversations.create(items=items, metadata={"topic": "names"}, extra_headers=of("native"))
    assert made.metadata == {"topic": "names"}
    assert sdk.conversations.update(made.id, metadata={"topic": "Ada"}).metadata == {"topic": "Ada"}
    assert sdk.conversations.retrieve(made.id).to_dict() == made.to_dict() | {"metadata": {"topic": "Ada"}}
    added: Any = sdk.conversations.items.create(made.id, items=[{"role": "user", "content": f"{n}"} for n in range(5)])
    assert [item.content[0].text for item in added.data] == ["0", "1", "2", "3", "4"]
    assert {item.status for item in added.data} == {"completed"}
    page: Any = sdk.conversations.items.list(made.id, limit=2)
    assert ([item.content[0].text for item in page.data], page.has_more) == (["4", "3"], True)
    assert [item.content[0].text for item in page] == ["4", "3", "2", "1", "0", "Hello, Ada.", "I am Ada."]
    middle = added.data[2].id
    assert sdk.conversations.items.retrieve(middle, conversation_id=made.id).to_dict() == added.data[2].to_dict()
    assert sdk.conversations.items.delete(middle, conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError) as gone:
        sdk.conversations.items.retrieve(middle, conversation_id=made.id)
    assert gone.value.code == "item_not_found"
    sdk.responses.create(model="native", input="go on", conversation=made.id)
    told = [item["content"][0]["text"] for item in sent(vendor)["input"]]
    assert told[:6] == ["I am Ada.", "Hello, Ada.", "0", "1", "3", "4"]
    assert not any("id" in item for item in sent(vendor)["input"])
    assert sdk.conversations.delete(made.id).deleted
    for touch in (sdk.conversations.retrieve, sdk.conversations.delete, sdk.conversations.items.list):
        with pytest.raises(openai.NotFoundError) as caught:
            touch(made.id)
        assert caught.value.code == "conversation_not_found"
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="native", input="go on", conversation=made.id)


def test_what_is_another_units_is_as_if_it_were_not_there(
    running: Exchange, sdk: openai.OpenAI, foreign: str, vendor: Upstream
) -> None:
    made = sdk.conversations.create(items=[{"role": "user", "content": "hi"}], extra_headers=of("chat"))
    (item,) = sdk.conversations.items.list(made.id).data
    never = made.id[:-4] + "0000"
    before = len(vendor.received)
    with openai.OpenAI(api_key=foreign, base_url=running.url, max_retries=0) as other:
        touches: list[Any] = [
            other.conversations.retrieve,
            other.conversations.delete,
            other.conversations.items.list,
            lambda one: other.conversations.update(one, metadata={}),
            lambda one: other.conversations.items.create(one, items=[{"role": "user", "content": "hi"}]),
            lambda one: other.conversations.items.retrieve(item.id or "", conversation_id=one),
            lambda one: other.conversations.items.delete(item.id or "", conversation_id=one),
            lambda one: other.responses.create(model="chat", input="hi", conversation=one),
        ]
        for touch in touches:
            words = set()
            for dialogue_id in (made.id, never):
                with pytest.raises(openai.NotFoundError) as caught:
                    touch(dialogue_id)
                words.add(caught.value.message.replace(dialogue_id, "ID"))
            assert len(words) == 1
        with pytest.raises(openai.NotFoundError) as caught:
            other.responses.create(model="chat", input=[{"type": "item_reference", "id": item.id or ""}])
        assert caught.value.code == "item_not_found"
    assert len(vendor.received) == before
    assert sdk.conversations.items.list(made.id).data == [item]
    assert ask(running.port, None, b"", f"/v1/conversations/{made.id}", method="GET").status == 401
    narrow = running.key("finance", "--use-case", "claude")
    assert running.get(f"/v1/conversations/{made.id}", narrow)[0] == 404


def test_a_conversation_becomes_that_of_the_use_case_that_it_is_first_used_for(sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create()
    with pytest.raises(openai.BadRequestError, match=USE_CASE) as caught:
        sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "use_case_not_named"
    sdk.responses.create(model="chat", input="hi", conversation=made.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="claude", input="hi", conversation=made.id)
    sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "more"}])
    with pytest.raises(openai.BadRequestError, match="use case chat's"):
        sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "more"}], extra_headers=of("claude"))


def test_who_has_one_use_case_that_keeps_conversations_need_not_name_it(running: Exchange) -> None:
    narrow = running.key("finance", "--use-case", "claude", "--use-case", "none")
    with openai.OpenAI(api_key=narrow, base_url=running.url, max_retries=0) as sdk:
        made = sdk.conversations.create(items=[{"role": "user", "content": "I am Ada."}], metadata={"a": "b"})
        assert sdk.responses.create(model="claude", input="hi", conversation=made.id).store  # type: ignore[attr-defined]


def test_where_nobody_here_keeps_conversations_what_to_do_is_said(running: Exchange, sdk: openai.OpenAI) -> None:
    for use_case, words in (("none", "ask unit acme"), ("their", "at the provider")):
        with pytest.raises(openai.BadRequestError, match=words) as caught:
            sdk.conversations.create(extra_headers=of(use_case))
        assert caught.value.code == "not_kept"
    narrow = running.key("finance", "--use-case", "none")
    with openai.OpenAI(api_key=narrow, base_url=running.url, max_retries=0) as other:
        with pytest.raises(openai.BadRequestError, match="ask the owner") as caught:
            other.conversations.create()
        assert caught.value.code == "not_kept"
    with pytest.raises(openai.NotFoundError) as unknown:
        sdk.conversations.create(extra_headers=of("nothing-of-the-kind"))
    assert unknown.value.code == "model_not_found"


def test_a_deployment_that_keeps_conversations_itself_gets_its_own_ids_and_never_ours(
    sdk: openai.OpenAI, vendor: Upstream
) -> None:
    sdk.responses.create(model="their", input="hi", conversation="conv_theirs")
    assert sent(vendor)["conversation"] == "conv_theirs"
    made = sdk.conversations.create()
    before = len(vendor.received)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="their", input="hi", conversation=made.id)
    assert len(vendor.received) == before


@pytest.mark.parametrize("how", ["item", "turn"])
def test_what_is_of_a_stricter_class_never_goes_where_that_class_may_not(sdk: openai.OpenAI, how: str) -> None:
    strict = {"x-trunkline-data-class": "restricted"}
    made = sdk.conversations.create(items=[{"role": "user", "content": "hi"}], extra_headers=of("mixed"))
    loose = sdk.responses.with_raw_response.create(model="mixed", input="hi", conversation=made.id)
    assert loose.headers["x-trunkline-deployment"] == "other"
    if how == "item":
        sdk.conversations.items.create(made.id, items=[{"role": "user", "content": "a secret"}], extra_headers=strict)
    else:
        sdk.responses.create(model="mixed", input="a secret", conversation=made.id, extra_headers=strict)
    for _ in range(2):
        then = sdk.responses.with_raw_response.create(model="mixed", input="go on", conversation=made.id)
        assert then.headers["x-trunkline-deployment"] == "closed"
    newest: Any = sdk.conversations.items.list(made.id, limit=1).data
    refers: Any = [{"type": "item_reference", "id": newest[0].id}]
    apart = sdk.responses.with_raw_response.create(model="mixed", input=refers)
    assert apart.headers["x-trunkline-deployment"] == "closed"


def test_what_a_class_does_not_let_be_kept_is_refused(sdk: openai.OpenAI, spare: Upstream) -> None:
    sealed = {"x-trunkline-data-class": "sealed"}
    items: list[Any] = [{"role": "user", "content": "a secret"}]
    made = sdk.conversations.create(extra_headers=of("mixed"))
    before = len(spare.received)
    attempts: list[Any] = [
        lambda: sdk.conversations.create(items=items, extra_headers=of("mixed", **sealed)),
        lambda: sdk.conversations.items.create(made.id, items=items, extra_headers=sealed),
        lambda: sdk.conversations.update(made.id, metadata={"a": "secret"}, extra_headers=sealed),
        lambda: sdk.responses.create(model="mixed", input="a secret", conversation=made.id, extra_headers=sealed),
    ]
    for attempt in attempts:
        with pytest.raises(openai.PermissionDeniedError, match="app_state_retention_days is at most 7") as caught:
            attempt()
        assert caught.value.code == "keeping_not_permitted"
    assert len(spare.received) == before
    assert sdk.conversations.items.list(made.id).data == []
    got = sdk.responses.create(model="mixed", input="a secret", conversation=made.id, store=False, extra_headers=sealed)
    assert stored(got) is False
    assert sdk.conversations.items.list(made.id).data == []


def test_who_wants_nothing_kept_reads_a_conversation_and_adds_nothing(sdk: openai.OpenAI, vendor: Upstream) -> None:
    made = sdk.conversations.create(items=[{"role": "user", "content": "I am Ada."}], extra_headers=of("native"))
    got = sdk.responses.create(model="native", input="Who?", conversation=made.id, store=False)
    assert "I am Ada." in vendor.received[-1].body.decode()
    assert (stored(got), got.conversation) == (False, None)
    assert said(sdk, made.id) == ["user: I am Ada."]


@pytest.mark.parametrize("stream", STREAMED)
def test_tools_go_on_in_a_conversation(sdk: openai.OpenAI, vendor: Upstream, stream: bool) -> None:
    vendor.default = Script(tools=True)
    made = sdk.conversations.create()
    first = answered(sdk, stream, model="claude", input="How is the weather?", tools=TOOLS, conversation=made.id)
    calls = [item for item in first.output if item.type == "function_call"]
    vendor.default = Script()
    result: Any = [{"type": "function_call_output", "call_id": one.call_id, "output": "12 degrees"} for one in calls]
    second = answered(sdk, stream, model="claude", input=result, tools=TOOLS, conversation=made.id)
    assert second.output_text == WHOLE
    kinds = [item.type for item in sdk.conversations.items.list(made.id, order="asc")]
    assert [kind for kind in kinds if kind.startswith("function")] == ["function_call"] * len(calls) + [
        "function_call_output"
    ] * len(calls)


@pytest.mark.parametrize("named", ["conversation", "previous_response_id"])
def test_what_was_thought_goes_on_at_the_deployment_that_thought_it_and_nowhere_else(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, named: str
) -> None:
    include: Any = ["reasoning.encrypted_content"]
    made: Any = {"conversation": sdk.conversations.create().id} if named == "conversation" else {}
    vendor.default = TOOL_CALL
    first = sdk.responses.create(model="spill", input="hi", tools=TOOLS, include=include, **made)
    assert "reasoning" in [item.type for item in first.output]
    assert "reasoning.encrypted_content" in sent(vendor)["include"]
    calls = [item for item in first.output if item.type == "function_call"]
    result: Any = [{"type": "function_call_output", "call_id": one.call_id, "output": "12 degrees"} for one in calls]
    then: Any = made or {"previous_response_id": first.id}
    vendor.default = Script(status=500)
    elsewhere = sdk.responses.create(model="spill", input=result, tools=TOOLS, store=False, **then)
    assert elsewhere.output_text == WHOLE
    assert "reasoning" not in [item.get("type") for item in sent(spare)["input"]]
    vendor.default = TOOL_CALL
    sdk.responses.create(model="spill", input=result, tools=TOOLS, **then)
    (thought,) = (item for item in sent(vendor)["input"] if item.get("type") == "reasoning")
    assert thought["encrypted_content"] == "gAAAAABodK5xY3dhrZ"


def test_an_item_that_is_referred_to_stands_in_the_prompt(sdk: openai.OpenAI, vendor: Upstream) -> None:
    first = sdk.responses.create(model="native", input="I am Ada.")
    asked: Any = sdk.responses.input_items.list(first.id).data[0]
    refers: list[Any] = [
        {"type": "item_reference", "id": asked.id},
        {"type": "item_reference", "id": first.output[0].id or ""},
        {"role": "user", "content": "Who am I?"},
    ]
    second = sdk.responses.create(model="native", input=refers)
    told = sent(vendor)["input"]
    assert [item["role"] for item in told] == ["user", "assistant", "user"]
    assert told[0]["content"][0]["text"] == "I am Ada."
    listed: Any = sdk.responses.input_items.list(second.id, order="asc").data
    assert [item.role for item in listed] == ["user", "assistant", "user"]
    third = sdk.responses.create(model="native", input="Sure?", previous_response_id=second.id)
    assert [item["role"] for item in sent(vendor)["input"]] == ["user", "assistant", "user", "assistant", "user"]
    again: list[Any] = [*refers[:2], {"role": "user", "content": "Really?"}]
    sdk.responses.create(model="native", input=again, previous_response_id=first.id)
    assert len(sent(vendor)["input"]) == 3  # What stands there already does not come twice.
    sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="send the item itself") as caught:
        sdk.responses.create(model="native", input=[refers[0]])
    assert (caught.value.code, caught.value.param) == ("item_not_found", "input[0]")
    assert third.id


def test_an_answer_of_a_conversation_is_gone_on_from_by_that(sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create()
    first = sdk.responses.create(model="native", input="hi", conversation=made.id)
    with pytest.raises(openai.BadRequestError, match=made.id):
        sdk.responses.create(model="native", input="go on", previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="cannot be given together"):
        sdk.responses.create(model="native", input="go on", previous_response_id=first.id, conversation=made.id)


def test_a_stream_that_is_cut_puts_nothing_into_its_conversation(
    running: Exchange, key: str, sdk: openai.OpenAI, vendor: Upstream
) -> None:
    vendor.default = Script(cut=900)
    made = sdk.conversations.create(items=[{"role": "user", "content": "hi"}], extra_headers=of("native"))
    fields = {"model": "native", "input": "more", "stream": True, "conversation": made.id}
    assert ask(running.port, key, fields, "/v1/responses").error is not None
    assert said(sdk, made.id) == ["user: hi"]


def test_the_streaming_helper_follows_a_turn_of_a_conversation(sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create()
    for _ in range(2):
        with sdk.responses.stream(model="gemini", input="hi", conversation=made.id) as stream:
            for _ in stream:
                pass
            final = stream.get_final_response()
        assert (final.output_text, stored(final)) == (WHOLE, True)
        assert final.conversation is not None
        assert final.conversation.id == made.id
    assert len(said(sdk, made.id)) == 4


def test_calls_at_once_each_put_their_turn_in_whole(sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create(extra_headers=of("native"))

    def turn(number: int) -> None:
        sdk.responses.create(model="native", input=f"turn {number}", conversation=made.id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(turn, range(6)))
    words = said(sdk, made.id)
    assert sorted(words[::2]) == [f"user: turn {number}" for number in range(6)]
    assert words[1::2] == [f"assistant: {WHOLE}"] * 6


def test_what_is_no_request_for_a_conversation_is_refused(running: Exchange, key: str, sdk: openai.OpenAI) -> None:
    made = sdk.conversations.create(extra_headers=of("native")).id
    path = f"/v1/conversations/{made}"
    for method, where, status in (
        ("GET", "/v1/conversations", 405),
        ("PUT", path, 405),
        ("POST", f"{path}/items/msg_1", 405),
        ("GET", f"{path}/other", 404),
        ("GET", f"{path}/items?limit=0", 400),
        ("GET", f"{path}/items?after=nothing", 400),
        ("GET", f"{path}/items?after=%00", 400),
        ("GET", f"{path}/items/%00", 404),
        ("GET", f"{path}/items/", 404),
        ("POST", "/v1/responses/resp_1", 405),
    ):
        got = ask(running.port, key, b"", where, method=method)
        assert (got.status, got.json["error"]["type"]) == (status, "invalid_request_error"), where
    bodies: list[Any] = [
        b"no JSON",
        {"items": "text"},
        {"items": []},
        {"items": [{"content": "hi"}]},
        {"items": [{"type": "item_reference", "id": "msg_1"}]},
        {"items": [{"role": "user", "content": "x", "id": "a b"}]},
        {"items": [{"role": "user", "content": "x", "id": "same"}, {"role": "user", "content": "y", "id": "same"}]},
    ]
    for body in bodies:
        assert ask(running.port, key, body, f"{path}/items").status == 400, body
    for metadata in ({"a": 1}, "text", {"a" * 65: "b"}, {"a": "b" * 513}, {f"{n}": "" for n in range(17)}):
        assert ask(running.port, key, {"metadata": metadata}, path).status == 400
    twice = {"items": [{"role": "user", "content": "x", "id": "msg_1"}]}
    assert [ask(running.port, key, twice, f"{path}/items").status for _ in range(2)] == [200, 400]


def test_conversations_are_there_for_every_worker_and_after_a_kill_and_only_with_the_key(
    tmp_path: Path, vendor: Upstream, spare: Upstream
) -> None:
    options = ("--no-engine", "--workers", "2", "--content-key", "env:TRUNKLINE_TEST_CONTENT_KEY")
    sealed: Any = {"TRUNKLINE_TEST_CONTENT_KEY": "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="}
    with exchange(tmp_path, declared(vendor, spare), *options, **sealed) as running:
        key = running.key("finance")
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as sdk:
            made = sdk.conversations.create(metadata={"topic": "secret words"}, extra_headers=of("chat"))
        for turn in range(4):  # A connection each, so that both workers have some.
            with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as sdk:
                answered(sdk, turn % 2 == 0, model="chat", input=f"turn {turn}", conversation=made.id)
        running.kill()
    with (
        exchange(tmp_path, declared(vendor, spare), *options, **sealed) as running,
        openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as sdk,
    ):
        assert said(sdk, made.id)[::2] == [f"user: turn {turn}" for turn in range(4)]
        assert sdk.conversations.retrieve(made.id).metadata == {"topic": "secret words"}
    with exchange(tmp_path, declared(vendor, spare)) as running:
        status, body = running.get(f"/v1/conversations/{made.id}/items", key)
        assert (status, json.loads(body)["error"]["code"]) == (503, "store_unavailable")
    files = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("trunkline.db*"))
    assert b"turn 3" not in files
    assert b"secret words" not in files
