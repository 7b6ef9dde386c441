"""OpenAI's SDK asks for answers in the background: they are worked on without it, fetched, followed, cancelled."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, start, stop
from tests.path.raw import ask
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

WHOLE = Script().text
DOORS = ["chat", "claude", "gemini", "native"]
UNDER_WAY = ("queued", "in_progress")
PATIENT = {"connect": 2, "first_byte": 600, "between": 600, "total": 600}


def declared(vendor: Upstream) -> dict[str, Any]:
    """A deployment of each dialect, under use cases that keep; one without, one whose deployment keeps, one poor."""
    patient = {"timeouts": PATIENT}
    claude = {"model": "anthropic/some-model", "boundary": "claude", "dialect": "anthropic"}
    google = {"model": "google/some-model", "boundary": "google", "dialect": "gemini"}
    deployments = {
        "chat": deployment(vendor.url, **patient),
        "claude": deployment(vendor.url, **claude, **patient),
        "gemini": deployment(vendor.url.removesuffix("/v1"), **google, **patient),
        "native": deployment(vendor.url, dialect="responses", **patient),
    }
    deployments["alone"] = deployments["chat"]
    tiers = {name: [[name]] for name in DOORS}
    made = estate(deployments, tiers | {"none": [["native"]], "their": [["native"]], "poor": [["alone"]]})
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    made["boundaries"]["google"] = made["boundaries"]["vendor"] | {"provider": "google"}
    for name in (*DOORS, "poor"):
        made["use_cases"][name]["keeps"] = {}
    made["use_cases"]["their"]["keeps"] = {"by": "deployment"}
    made["budgets"] = [{"on": {"use_case": "poor"}, "per": "month", "amount": 0.000001, "hard": True}]
    return made


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    with exchange(tmp_path_factory.mktemp("background"), declared(vendor_of_module)) as started:
        yield started


@pytest.fixture(autouse=True)
def quiet(vendor: Upstream) -> None:
    """The upstream as good as new."""


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Look again and again until something is found."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if got := found():
            return got
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def ended(sdk: openai.OpenAI, answer_id: str) -> Any:
    """The answer, once it is no more under way."""

    def look() -> Any:
        got = sdk.responses.retrieve(answer_id)
        return got if got.status not in UNDER_WAY else None

    return until(look)


def begun(sdk: openai.OpenAI, **asked: Any) -> Any:
    got = sdk.responses.create(background=True, **asked)
    assert (got.status, got.background, got.output) == ("queued", True, [])
    return got


@pytest.mark.parametrize("model", DOORS)
def test_an_answer_in_the_background_is_told_at_once_and_fetched_when_it_is_whole(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream, customer: str, model: str
) -> None:
    first = begun(sdk, model=model, input="I am Ada.", safety_identifier=customer, metadata={"job": "7"})
    whole = ended(sdk, first.id)
    assert (whole.status, whole.output_text, whole.background, whole.error) == ("completed", WHOLE, True, None)
    assert (whole.id, getattr(whole, "store", None)) == (first.id, True)
    assert first.metadata == {"job": "7"}
    assert b'"background"' not in vendor.received[-1].body
    (row,) = running.attempts_of(customer, 1, 60)
    assert (row["status"], row["deployment"]) == ("ok", model)
    second = sdk.responses.create(model=model, input="Who am I?", previous_response_id=first.id)
    assert second.output_text == WHOLE
    assert b"I am Ada." in vendor.received[-1].body
    assert [item.type for item in sdk.responses.input_items.list(first.id)] == ["message"]
    sdk.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(first.id)


@pytest.mark.parametrize("model", DOORS)
def test_a_stream_in_the_background_is_told_as_it_comes_and_again_from_any_event(
    sdk: openai.OpenAI, model: str
) -> None:
    with sdk.responses.create(model=model, input="hi", background=True, stream=True) as stream:
        events: list[Any] = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[0].response.status) == ("response.created", "queued")
    last = events[-1]
    assert (last.type, last.response.output_text, last.response.background) == ("response.completed", WHOLE, True)
    assert {event.response.id for event in events if hasattr(event, "response")} == {last.response.id}
    for after in (0, 3, len(events) - 2):
        with sdk.responses.retrieve(last.response.id, stream=True, starting_after=after) as again:
            assert list(again) == events[after + 1 :]
    with sdk.responses.retrieve(last.response.id, stream=True) as again:
        assert list(again) == events
    with sdk.responses.stream(response_id=last.response.id) as helped:
        assert helped.get_final_response().output_text == WHOLE
    assert sdk.responses.retrieve(last.response.id).output_text == WHOLE


@pytest.mark.parametrize("model", DOORS)
def test_a_caller_that_leaves_finds_its_answer_later_and_goes_on_where_it_was(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream, customer: str, model: str
) -> None:
    vendor.default = Script(pace=0.05)
    stream = sdk.responses.create(model=model, input="hi", background=True, stream=True, user=customer)
    seen: list[Any] = [next(iter(stream)) for _ in range(3)]
    stream.close()
    with sdk.responses.retrieve(seen[0].response.id, stream=True, starting_after=2) as again:
        seen += again
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == WHOLE
    (row,) = running.attempts_of(customer, 1, 60)
    assert row["status"] == "ok"


def test_an_answer_under_way_is_cancelled_and_its_upstream_stopped(
    running: Exchange, key: str, sdk: openai.OpenAI, vendor: Upstream, customer: str
) -> None:
    vendor.default = scripts.HANG_BEFORE_HEAD
    first = begun(sdk, model="chat", input="hi", user=customer)
    assert vendor.wait_for(1)
    assert sdk.responses.retrieve(first.id).status == "in_progress"
    assert sdk.responses.cancel(first.id).status == "cancelled"
    assert vendor.received[0].over.wait(10)
    assert vendor.received[0].left_at is not None
    (row,) = running.attempts_of(customer, 1, 60)
    assert row["status"] == "left"
    assert sdk.responses.cancel(first.id).status == sdk.responses.retrieve(first.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(model="chat", input="more", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"
    vendor.default = scripts.NORMAL
    whole = sdk.responses.create(model="native", input="hi")
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.cancel(whole.id)
    assert caught.value.code == "not_supported"
    foreign = running.key("marketing")
    assert ask(running.port, foreign, b"{}", f"/v1/responses/{first.id}/cancel").status == 404
    assert ask(running.port, key, b"{}", f"/v1/responses/{first.id}/cancel", method="GET").status == 405


def test_whoever_follows_a_cancelled_answer_is_told_and_a_deleted_one_is_stopped(
    sdk: openai.OpenAI, vendor: Upstream
) -> None:
    vendor.default = scripts.HANG_MID_BODY
    stream = iter(sdk.responses.create(model="native", input="hi", background=True, stream=True))
    first: Any = next(stream)
    assert vendor.wait_for(1)
    sdk.responses.cancel(first.response.id)
    last: Any = list(stream)[-1]
    assert (last.type, last.response["status"]) == ("response.cancelled", "cancelled")
    vendor.default = scripts.HANG_BEFORE_HEAD
    second = begun(sdk, model="chat", input="hi")
    assert vendor.wait_for(2)
    sdk.responses.delete(second.id)
    assert vendor.received[1].over.wait(10)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(second.id)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "code"),
    [
        (scripts.SERVER_ERROR, "server_error"),
        (scripts.RATE_LIMITED, "rate_limit_exceeded"),
        (scripts.INVALID_REQUEST, "invalid_prompt"),
        (Script(cut=150), "server_error"),
    ],
)
def test_an_answer_that_fails_says_of_what(
    sdk: openai.OpenAI, vendor: Upstream, script: Script, code: str, stream: bool
) -> None:
    vendor.default = script
    if stream:
        vendor.default = script if script.cut is None else Script(cut=900)
        events = iter(sdk.responses.create(model="chat", input="hi", background=True, stream=True))
        begin: Any = next(events)
        first = begin.response
        if script.cut is None:
            assert [event.type for event in events] == ["response.failed"]
        else:
            with pytest.raises(openai.APIError, match="broke off"):
                list(events)
    else:
        first = begun(sdk, model="chat", input="hi")
    got = ended(sdk, first.id)
    assert (got.status, got.error.code, got.output) == ("failed", code, [])
    assert got.error.message
    with pytest.raises(openai.BadRequestError):
        sdk.responses.create(model="chat", input="more", previous_response_id=first.id)
    assert sdk.responses.cancel(first.id).status == "failed"


def test_what_cannot_begin_is_refused_at_once_and_nothing_is_kept(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream
) -> None:
    before = json.loads(running.command("kept", "list", "--json"))
    for model, more, code in (
        ("none", {}, "not_kept"),
        ("their", {}, "not_supported"),
        ("chat", {"store": False}, "invalid_value"),
        ("chat", {"previous_response_id": "resp_other"}, "previous_response_not_found"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.responses.create(model=model, input="hi", background=True, **more)
        assert caught.value.code == code
    with pytest.raises(openai.RateLimitError) as short:
        sdk.responses.create(model="poor", input="hi", background=True)
    assert short.value.code == "insufficient_quota"
    with pytest.raises(openai.NotFoundError):
        sdk.responses.create(model="nothing", input="hi", background=True)
    assert vendor.received == []
    assert json.loads(running.command("kept", "list", "--json")) == before


def test_a_stream_is_told_again_only_where_there_was_one(running: Exchange, key: str, sdk: openai.OpenAI) -> None:
    first = begun(sdk, model="chat", input="hi")
    ended(sdk, first.id)
    for query in ("stream=true", "starting_after=1", "stream=true&starting_after=x"):
        assert running.get(f"/v1/responses/{first.id}?{query}", key)[0] == 400


def test_an_answer_in_the_background_is_put_into_its_conversation(sdk: openai.OpenAI, vendor: Upstream) -> None:
    conversation = sdk.conversations.create()
    first = begun(sdk, model="chat", input="I am Ada.", conversation=conversation.id)
    whole = ended(sdk, first.id)
    assert (whole.output_text, whole.conversation.id) == (WHOLE, conversation.id)
    items: Any = sdk.conversations.items.list(conversation.id, order="asc").data
    assert [(item.role, item.content[0].text) for item in items] == [("user", "I am Ada."), ("assistant", WHOLE)]
    sdk.responses.create(model="chat", input="Who am I?", conversation=conversation.id)
    assert b"I am Ada." in vendor.received[-1].body
    vendor.default = Script(pace=0.05)
    second = begun(sdk, model="native", input="hi", conversation=sdk.conversations.create().id)
    sdk.conversations.delete(second.conversation.id)
    got = ended(sdk, second.id)
    assert got.status in ("failed", "completed")  # It may have been whole before the conversation was deleted.


def test_an_answer_whose_exchange_is_killed_is_told_as_failed_with_what_came_of_it(
    tmp_path: Path, vendor: Upstream
) -> None:
    vendor.default = scripts.HANG_MID_BODY
    running = start(tmp_path, declared(vendor), "--no-engine", "--workers", "2")
    try:
        key = running.key("finance")
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as sdk:
            stream = iter(sdk.responses.create(model="native", input="hi", background=True, stream=True, user="lost"))
            seen: list[Any] = [next(stream) for _ in range(2)]
            answer_id = seen[0].response.id
            until(lambda: rows(running, "SELECT count(*) FROM errand_events")[0][0])
        with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as other:
            assert other.responses.retrieve(answer_id).status == "in_progress"
        running.kill()
    finally:
        stop(running)
    with exchange(tmp_path, declared(vendor)) as again:
        rows(again, "UPDATE turns SET alive_until = 1")  # As if the time that its worker may be silent were over.
        with openai.OpenAI(api_key=key, base_url=again.url, max_retries=0, timeout=30) as sdk:
            got = sdk.responses.retrieve(answer_id)
            assert (got.status, got.error.code if got.error else "") == ("failed", "server_error")
            with sdk.responses.retrieve(answer_id, stream=True, starting_after=0) as events:
                told: list[Any] = list(events)
        assert (told[0].type, told[-1].type) == (seen[1].type, "response.failed")
        assert [event.sequence_number for event in told] == list(range(1, len(told) + 1))
        (row,) = again.attempts_of("lost", 1, 60)
        assert row["status"] != "ok"


def rows(running: Exchange, statement: str) -> list[Any]:
    """What a statement finds in the exchange's database."""
    with sqlite3.connect(running.folder / "trunkline.db", timeout=20) as database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def test_an_exchange_that_is_stopped_tells_what_it_could_not_end_and_any_worker_cancels(
    tmp_path: Path, vendor: Upstream
) -> None:
    vendor.default = scripts.HANG_BEFORE_HEAD
    with exchange(tmp_path, declared(vendor), "--no-engine", "--workers", "2", "--grace", "0.1") as running:
        key = running.key("finance")
        begun_ids = []
        for number in range(4):  # A connection each, so that both workers have some.
            with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as sdk:
                begun_ids.append(begun(sdk, model="chat", input="hi").id)
            assert vendor.wait_for(number + 1)
        for answer_id in begun_ids[:3]:
            with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as sdk:
                assert sdk.responses.cancel(answer_id).status == "cancelled"
        until(lambda: sum(one.left_at is not None for one in vendor.received) == 3)
    with (
        exchange(tmp_path, declared(vendor)) as running,
        openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as sdk,
    ):
        got = sdk.responses.retrieve(begun_ids[3])
        assert (got.status, "exchange_stopped" in got.error.message if got.error else "") == ("failed", True)
