"""OpenAI's SDK holds a conversation over deployments of every dialect, kept by the exchange under policy."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.conversations.kept import DOORS, STREAMED, TOOLS, WHOLE, answered, declared, sent, stored
from tests.path.exchange import Exchange, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("model", DOORS)
def test_a_conversation_goes_on_over_a_deployment_of_any_dialect(
    sdk: openai.OpenAI, vendor: Upstream, model: str, stream: bool
) -> None:
    first = answered(sdk, stream, model=model, input="I am Ada.", instructions="Say nothing of this again.")
    assert (first.output_text, first.store, first.previous_response_id) == (WHOLE, True, None)
    second = answered(sdk, stream, model=model, input="Who am I?", previous_response_id=first.id)
    assert (second.store, second.previous_response_id) == (True, first.id)
    third = answered(
        sdk, stream, model=model, input=[{"role": "user", "content": "Sure?"}], previous_response_id=second.id
    )
    assert len({first.id, second.id, third.id}) == 3
    got = vendor.received[-1].body.decode()
    words = ["I am Ada.", WHOLE, "Who am I?", WHOLE, "Sure?"]
    places = [got.find(words[0])]
    for word in words[1:]:
        places.append(got.find(word, places[-1] + 1))
    assert places == sorted(places)
    assert -1 not in places
    assert "Say nothing of this again." not in got
    assert "resp_kept_" not in got
    assert "previous_response_id" not in got


@pytest.mark.parametrize("stream", STREAMED)
def test_what_is_kept_here_is_not_kept_there_and_the_use_cases_instructions_come_once(
    sdk: openai.OpenAI, vendor: Upstream, stream: bool
) -> None:
    first = answered(sdk, stream, model="native", input="hi")
    assert sent(vendor)["store"] is False
    assert first.id.startswith("resp_kept_")
    answered(sdk, stream, model="native", input="and then?", previous_response_id=first.id)
    told = sent(vendor)
    assert (told["store"], told["instructions"]) == (False, "Be kind.")
    assert [item["role"] for item in told["input"]] == ["user", "assistant", "user"]
    assert not any("id" in item for item in told["input"])


@pytest.mark.parametrize("stream", STREAMED)
@pytest.mark.parametrize("model", DOORS)
def test_tools_go_on_across_turns(sdk: openai.OpenAI, vendor: Upstream, model: str, stream: bool) -> None:
    vendor.default = Script(tools=True)
    first = answered(sdk, stream, model=model, input="How is the weather?", tools=TOOLS)
    calls = [item for item in first.output if item.type == "function_call"]
    vendor.default = Script()
    result: Any = [{"type": "function_call_output", "call_id": one.call_id, "output": "12 degrees"} for one in calls]
    second = answered(sdk, stream, model=model, input=result, tools=TOOLS, previous_response_id=first.id)
    assert second.output_text == WHOLE
    got = vendor.received[-1].body.decode()
    assert got.index("How is the weather?") < got.index(calls[0].name, got.index("How is")) < got.index("12 degrees")
    items = sdk.responses.input_items.list(second.id, order="asc").data
    kinds = [item.type for item in items if item.type.startswith("function_call")]
    assert kinds == ["function_call"] * len(calls) + ["function_call_output"] * len(calls)


@pytest.mark.parametrize("stream", STREAMED)
def test_a_kept_answer_is_told_again_with_its_prompt_until_it_is_deleted(sdk: openai.OpenAI, stream: bool) -> None:
    first = answered(sdk, stream, model="claude", input="hi")
    again = sdk.responses.retrieve(first.id)
    assert again.to_dict() == first.to_dict()
    second = answered(sdk, stream, model="claude", input="and then?", previous_response_id=first.id)
    page: Any = sdk.responses.input_items.list(second.id, limit=2)
    assert [item.role for item in page] == ["user", "assistant", "user"]
    assert page.data[0].content[0].text == "and then?"
    assert all(item.id for item in page)
    sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.responses.retrieve(first.id)
    assert caught.value.code == "response_not_found"
    assert sdk.responses.retrieve(second.id).id == second.id
    with pytest.raises(openai.BadRequestError, match="earlier turn") as lost:
        sdk.responses.create(model="claude", input="still there?", previous_response_id=second.id)
    assert lost.value.code == "previous_response_not_found"


def test_what_is_another_units_is_as_if_it_were_not_there(
    running: Exchange, sdk: openai.OpenAI, foreign: str, vendor: Upstream
) -> None:
    first = sdk.responses.create(model="chat", input="hi")
    never = first.id[:-4] + "0000"
    before = len(vendor.received)
    with openai.OpenAI(api_key=foreign, base_url=running.url, max_retries=0) as other:
        for touch in (other.responses.retrieve, other.responses.delete, other.responses.input_items.list):
            said = []
            for answer_id in (first.id, never):
                with pytest.raises(openai.NotFoundError) as caught:
                    touch(answer_id)
                said.append(caught.value.message.replace(answer_id, "ID"))
            assert said[0] == said[1]
        said = []
        for answer_id in (first.id, never, "resp_of_somebody"):
            with pytest.raises(openai.BadRequestError) as refused:
                other.responses.create(model="chat", input="go on", previous_response_id=answer_id)
            assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")
            said.append(refused.value.message.replace(answer_id, "ID"))
        assert len(set(said)) == 1
    assert len(vendor.received) == before
    assert sdk.responses.retrieve(first.id).id == first.id
    assert ask(running.port, None, b"", f"/v1/responses/{first.id}", method="GET").status == 401


def test_a_conversation_stays_with_its_use_case_and_with_keys_for_it(running: Exchange, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="chat", input="hi")
    with pytest.raises(openai.BadRequestError):
        sdk.responses.create(model="claude", input="go on", previous_response_id=first.id)
    narrow = running.key("finance", "--use-case", "claude")
    with (
        openai.OpenAI(api_key=narrow, base_url=running.url, max_retries=0) as other,
        pytest.raises(openai.NotFoundError),
    ):
        other.responses.retrieve(first.id)


def test_nothing_is_kept_by_anybody_where_the_use_case_does_not_say_so(sdk: openai.OpenAI, vendor: Upstream) -> None:
    sdk.responses.create(model="none", input="hi")
    assert sent(vendor)["store"] is False
    asked: list[dict[str, Any]] = [
        {"store": True},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ]
    for fields in asked:
        with pytest.raises(openai.BadRequestError, match="ask unit acme") as caught:
            sdk.responses.create(**{"model": "none", "input": "hi", **fields})
        assert caught.value.code == "not_kept"
    raw = sdk.responses.with_raw_response.create(model="loose", input="hi", store=True)
    assert raw.headers["x-trunkline-dropped"] == "store"
    assert stored(raw.parse()) is False


def test_a_caller_may_want_nothing_kept(sdk: openai.OpenAI, vendor: Upstream) -> None:
    first = sdk.responses.create(model="native", input="hi", store=False)
    second = sdk.responses.create(model="native", input="I am Ada.")
    third = sdk.responses.create(model="native", input="Who?", previous_response_id=second.id, store=False)
    assert "I am Ada." in vendor.received[-1].body.decode()
    assert (stored(third), third.previous_response_id) == (False, second.id)
    for answer in (first, third):
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(answer.id)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ({"conversation": "conv_1"}, "conversation_not_found"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_not_found"),
    ],
)
def test_what_only_a_provider_could_follow_is_not_found(sdk: openai.OpenAI, field: dict[str, Any], code: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.responses.create(**{"model": "native", "input": "hi", **field})
    assert caught.value.code == code


def test_where_the_deployment_keeps_answers_its_ids_go_through_and_ours_never(
    sdk: openai.OpenAI, vendor: Upstream
) -> None:
    got = sdk.responses.create(model="their", input="hi", previous_response_id="resp_theirs")
    told = sent(vendor)
    assert "store" not in told
    assert told["previous_response_id"] == "resp_theirs"
    assert not got.id.startswith("resp_kept_")
    ours = sdk.responses.create(model="native", input="hi")
    before = len(vendor.received)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="their", input="go on", previous_response_id=ours.id)
    assert caught.value.code == "previous_response_not_found"
    assert len(vendor.received) == before


def test_a_conversation_of_a_stricter_class_never_goes_where_that_class_may_not(
    running: Exchange, key: str, sdk: openai.OpenAI
) -> None:
    first = sdk.responses.with_raw_response.create(model="mixed", input="hi")
    assert first.headers["x-trunkline-deployment"] == "other"
    before = first.parse().id
    strict = {"x-trunkline-data-class": "restricted"}
    for headers in (strict, {}, {"x-trunkline-data-class": "public"}):
        then = sdk.responses.with_raw_response.create(
            model="mixed", input="go on", previous_response_id=before, extra_headers=headers
        )
        assert then.headers["x-trunkline-deployment"] == "closed"
        before = then.parse().id
    again = sdk.responses.with_raw_response.create(model="mixed", input="hi", previous_response_id=first.parse().id)
    assert again.headers["x-trunkline-deployment"] == "other"  # A branch that never was strict.


def test_what_a_class_does_not_let_be_kept_is_not_kept_or_refused_where_it_was_asked_for(
    running: Exchange, key: str, sdk: openai.OpenAI
) -> None:
    sealed = {"x-trunkline-data-class": "sealed"}
    first = sdk.responses.create(model="mixed", input="hi")
    with pytest.raises(openai.PermissionDeniedError, match="app_state_retention_days is at most 7") as caught:
        sdk.responses.create(model="mixed", input="a secret", store=True, extra_headers=sealed)
    assert caught.value.code == "keeping_not_permitted"
    raw = sdk.responses.with_raw_response.create(
        model="mixed", input="a secret", previous_response_id=first.id, extra_headers=sealed
    )
    assert raw.headers["x-trunkline-deployment"] == "closed"
    assert raw.headers["x-trunkline-note"].startswith("not kept: data class sealed requires app_state_retention_days")
    assert stored(raw.parse()) is False
    assert running.get(f"/v1/responses/{raw.parse().id}", key)[0] == 404
    week = sdk.responses.create(model="week", input="a secret", store=True, extra_headers=sealed)
    assert stored(sdk.responses.retrieve(week.id)) is True


def test_a_stream_that_is_cut_is_not_kept(running: Exchange, key: str, vendor: Upstream) -> None:
    vendor.default = Script(cut=900)
    got = ask(running.port, key, {"model": "native", "input": "hi", "stream": True}, "/v1/responses")
    (answer_id,) = {one["response"]["id"] for one in got.chunks if "response" in one}
    assert got.error is not None
    assert running.get(f"/v1/responses/{answer_id}", key)[0] == 404


def test_other_methods_and_paths_below_a_response_are_refused(running: Exchange, key: str) -> None:
    for method, path, status in (
        ("POST", "/v1/responses/resp_1", 405),
        ("DELETE", "/v1/responses/resp_1/input_items", 405),
        ("GET", "/v1/responses/resp_1/other", 404),
        ("GET", "/v1/responses/resp_1/cancel", 405),
    ):
        got = ask(running.port, key, b"{}", path, method=method)
        assert (got.status, got.json["error"]["type"]) == (status, "invalid_request_error")


def test_a_query_that_cannot_be_answered_is_refused(running: Exchange, key: str, sdk: openai.OpenAI) -> None:
    first = sdk.responses.create(model="chat", input="hi")
    path = f"/v1/responses/{first.id}"
    for query in ("/input_items?limit=0", "/input_items?order=up", "/input_items?after=nothing", "?stream=true"):
        assert running.get(path + query, key)[0] == 400


def test_what_a_caller_was_told_is_kept_is_there_for_every_worker_and_after_a_kill_and_only_with_the_key(
    tmp_path: Path, vendor: Upstream, spare: Upstream
) -> None:
    made = declared(vendor, spare)
    sealed: Any = {"TRUNKLINE_TEST_CONTENT_KEY": base64.b64encode(b"k" * 32).decode()}
    options = ("--no-engine", "--workers", "2", "--content-key", "env:TRUNKLINE_TEST_CONTENT_KEY")
    before: str | None = None
    with exchange(tmp_path, made, *options, **sealed) as running:
        key = running.key("finance")
        for turn in range(6):  # A connection each, so that both workers have some.
            with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as sdk:
                got = answered(sdk, turn % 2 == 0, model="chat", input=f"turn {turn}", previous_response_id=before)
            before = got.id
        running.kill()
    with exchange(tmp_path, made, *options, **sealed) as running:
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0) as sdk:
            items: Any = sdk.responses.input_items.list(before or "", limit=100, order="asc").data
        said = [item.content[0].text for item in items if item.role == "user"]
        assert said == [f"turn {turn}" for turn in range(6)]
    with exchange(tmp_path, made) as running:
        status, body = running.get(f"/v1/responses/{before}", key)
        assert (status, json.loads(body)["error"]["code"]) == (503, "store_unavailable")
    log = (tmp_path / "up.log").read_text()
    assert "turn 3" not in log
    assert b"turn 3" not in b"".join(path.read_bytes() for path in (tmp_path / "data").glob("trunkline.db*"))
