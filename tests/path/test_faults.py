"""An upstream that fails: unseen before the first byte, said aloud after it, and in the ledger either way."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from tests.path.exchange import Exchange
from tests.path.raw import HELLO, Answer, ask
from tests.upstreams import script as scripts
from tests.upstreams.answers import answer
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
SHORT = Script(pieces=("Hi",))


CASES = [(fault, stream) for fault in scripts.FAULTS_BEFORE_THE_FIRST_BYTE for stream in (False, True)]


@pytest.mark.parametrize("case", CASES, ids=[f"{fault}{', streamed' * stream}" for fault, stream in CASES])
def test_a_fault_before_the_first_byte_is_answered_by_the_next_tier(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, lane: int, customer: str, case: tuple[str, bool]
) -> None:
    fault, stream = case
    vendor.default = scripts.FAULTS_BEFORE_THE_FIRST_BYTE[fault]
    got = ask(running.port, key, HELLO | {"model": f"lane-{lane}", "user": customer, "stream": stream})
    assert got.status == 200
    text = got.text if stream else got.json["choices"][0]["message"]["content"]
    assert text == Script().text
    assert got.headers["x-trunkline-deployment"] == f"second-{lane}"
    assert got.headers["x-trunkline-pattern"] == "cloud_shared"
    rows = running.attempts_of(customer, 2)
    assert [(row["status"], row["attempt"]) for row in rows] == [("failed", 1), ("ok", 2)]
    assert len({row["request_id"] for row in rows}) == 1
    assert len(spare.received) == 1
    assert len(vendor.received) <= 1


def test_garbage_for_json_is_not_passed_on_as_an_answer(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, lane: int
) -> None:
    vendor.default = scripts.NOT_JSON
    got = ask(running.port, key, HELLO | {"model": f"lane-{lane}"})
    assert got.status in {200, 502}
    if got.status == 200:
        assert got.json["choices"][0]["message"]["content"] == Script().text


def test_what_the_upstream_refuses_as_the_callers_fault_is_tried_nowhere_else(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, lane: int, customer: str
) -> None:
    vendor.default = scripts.INVALID_REQUEST
    got = ask(running.port, key, HELLO | {"model": f"lane-{lane}", "user": customer})
    assert got.status == 400
    assert got.error is not None
    assert got.error["param"] == "temperature"
    assert not spare.received
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["http_status"], row["cost"]) == ("rejected", 400, 0)


def test_when_every_tier_fails_the_last_deployment_is_named(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, lane: int
) -> None:
    vendor.default = spare.default = scripts.SERVER_ERROR
    got = ask(running.port, key, HELLO | {"model": f"lane-{lane}"})
    assert got.status == 502
    assert got.error is not None
    assert f"second-{lane}" in got.error["message"]


def test_a_stale_connection_is_replaced_without_a_second_tier_and_without_an_error(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.STALE
    for _ in range(5):
        assert ask(running.port, key, HELLO | {"model": f"alone-{lane}"}).status == 200
        assert vendor.wait_closed()
    assert len(vendor.received) == 5


@pytest.mark.parametrize(
    "script",
    [
        Script(error_after=2, pace=0.05),
        Script(cut=900),
        Script(cut=900, reset=True),
        Script(hang="body", hang_after=2),
    ],
    ids=["error event", "close", "reset", "silence"],
)
def test_a_stream_that_breaks_after_its_first_byte_ends_in_an_error_event(
    running: Exchange, key: str, vendor: Upstream, lane: int, customer: str, script: Script
) -> None:
    vendor.default = script
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}", "stream": True, "user": customer})
    assert got.status == 200
    assert got.error is not None
    assert got.error["message"]
    assert "[DONE]" not in got.data
    assert Script().text.startswith(got.text)
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["estimated"]) == ("broken", True)
    assert row["tokens_output"] > 0


def test_a_stream_that_breaks_is_the_sdks_own_error(sdk: openai.OpenAI, vendor: Upstream, lane: int) -> None:
    vendor.default = Script(cut=900)
    stream = sdk.chat.completions.create(model=f"alone-{lane}", messages=HI, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)


def test_a_stream_without_its_end_mark_is_not_taken_for_whole(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.NO_DONE
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}", "stream": True})
    assert "[DONE]" in got.data or got.error is not None


def never_as_if_whole(got: Answer, script: Script) -> None:
    """Hold an answer against the script: whole with its end, or an error that says so; never a piece in disguise."""
    if got.status != 200:
        assert got.status in {502, 504}
        assert got.error is not None
        return
    assert script.text.startswith(got.text)
    if got.error is None:
        assert got.text == script.text
        assert got.data[-1] == "[DONE]"
    else:
        assert "[DONE]" not in got.data


def length_of(script: Script) -> tuple[int, int]:
    """How many bytes of a stream's body stand on the wire up to the end mark, and in all."""
    asked = json.dumps({"model": "gpt-4.1-mini", "stream": True, "stream_options": {"include_usage": True}}).encode()
    units = answer(script, "/v1/chat/completions", asked).units
    marked = sum(len(unit) + len(b"%x\r\n\r\n" % len(unit)) for unit in units)
    return marked, marked + len(b"0\r\n\r\n")


@pytest.mark.parametrize("part", range(4))
def test_a_stream_cut_at_any_byte_is_never_passed_on_as_if_it_were_whole(
    running: Exchange, key: str, vendor: Upstream, part: int
) -> None:
    marked, _ = length_of(SHORT)
    for cut in range(part, marked - len("\n\n\r\n"), 4):
        vendor.default = Script(pieces=SHORT.pieces, cut=cut)
        got = ask(running.port, key, HELLO | {"stream": True})
        never_as_if_whole(got, SHORT)
        assert got.status != 200 or got.error is not None, f"cut at {cut} of {marked}, and nothing was said"


def test_a_cut_behind_the_end_mark_takes_nothing_from_a_whole_answer(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    marked, length = length_of(SHORT)
    cuts = range(marked, length)
    for cut in cuts:
        vendor.default = Script(pieces=SHORT.pieces, cut=cut)
        got = ask(running.port, key, HELLO | {"stream": True, "user": customer})
        assert (got.text, got.data[-1], got.error) == (SHORT.text, "[DONE]", None)
    assert {row["status"] for row in running.attempts_of(customer, len(cuts))} == {"ok"}


def test_a_whole_body_cut_at_any_byte_is_never_passed_on(running: Exchange, key: str, vendor: Upstream) -> None:
    asked = json.dumps({"model": "gpt-4.1-mini"}).encode()
    (body,) = answer(SHORT, "/v1/chat/completions", asked).units
    for cut in range(0, len(body), 7):
        vendor.default = Script(pieces=SHORT.pieces, cut=cut)
        got = ask(running.port, key, HELLO)
        assert got.status == 502, cut
        assert got.error is not None


def test_a_client_that_leaves_stops_the_upstream_at_once_and_pays_for_what_was_made(
    running: Exchange, sdk: openai.OpenAI, vendor: Upstream, lane: int, customer: str
) -> None:
    vendor.default = Script(pieces=tuple(f"word{number} " for number in range(500)), pace=0.01)
    stream = sdk.chat.completions.create(model=f"alone-{lane}", messages=HI, stream=True, user=customer)
    for _ in range(5):
        next(stream)
    stream.close()
    (received,) = vendor.received
    assert received.over.wait(20)
    assert received.left_at is not None
    assert received.events < 250
    (row,) = running.attempts_of(customer, 1)
    assert (row["status"], row["estimated"]) == ("left", True)
    assert 0 < row["tokens_output"] < 500


def test_a_client_that_leaves_before_the_answer_stops_the_upstream(
    running: Exchange, key: str, vendor: Upstream, lane: int, customer: str
) -> None:
    vendor.default = scripts.HANG_BEFORE_HEAD
    with (
        openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=0.3) as impatient,
        pytest.raises(openai.APITimeoutError),
    ):
        impatient.chat.completions.create(model=f"alone-{lane}", messages=HI, user=customer)
    (received,) = vendor.received
    assert received.over.wait(5)
    assert received.left_at is not None
    (row,) = running.attempts_of(customer, 1)
    assert row["status"] == "left"


def test_a_slow_reader_gets_everything_and_holds_nobody_up(
    running: Exchange, sdk: openai.OpenAI, key: str, vendor: Upstream
) -> None:
    long = Script(pieces=tuple("x" * 4000 for _ in range(1000)))
    vendor.choose = lambda received: long if b'"stream"' in received.body else None
    stream = sdk.chat.completions.create(model="chat", messages=HI, stream=True)
    next(stream)
    for _ in range(20):
        assert ask(running.port, key, HELLO).status == 200
    assert sum(len(chunk.choices[0].delta.content or "") for chunk in stream) == 4000 * 1000
