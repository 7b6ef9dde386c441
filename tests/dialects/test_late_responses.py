from __future__ import annotations

import json

import pytest

from trunkline.dialects.keeping import Marks
from trunkline.dialects.responses.codec import decode
from trunkline.dialects.responses.late import LATE
from trunkline.errors import Malformed, OverBudget, RateLimited, UpstreamFailed
from trunkline.messages import Operation

ASKED = decode(Operation.CHAT, b'{"model":"chat","input":"hi","background":true,"temperature":0.50}')
MARKS = Marks("resp_kept_1", "resp_kept_0", kept=True, late=True)


def test_an_answer_is_told_before_anybody_works_on_it_and_then_as_it_stands() -> None:
    begun = LATE.begun(ASKED, MARKS, 1_700_000_000)
    told = json.loads(begun)
    assert (told["id"], told["previous_response_id"], told["created_at"]) == (
        "resp_kept_1",
        "resp_kept_0",
        1_700_000_000,
    )
    assert (told["status"], told["background"], told["store"], told["output"]) == ("queued", True, True, [])
    assert (told["model"], b'"temperature":0.50' in begun) == ("chat", True)
    assert LATE.is_late(begun)
    assert not LATE.is_late(b'{"background":false}')
    assert json.loads(LATE.running(begun)) == told | {"status": "in_progress"}
    assert json.loads(LATE.cancelled(begun)) == told | {"status": "cancelled"}
    for refusal, code in (
        (RateLimited("slow"), "rate_limit_exceeded"),
        (OverBudget("none left"), "rate_limit_exceeded"),
        (Malformed("odd"), "invalid_prompt"),
        (UpstreamFailed("down"), "server_error"),
    ):
        failed = json.loads(LATE.failed(begun, refusal))
        assert (failed["status"], failed["error"]["code"]) == ("failed", code)
        assert failed["error"]["message"] == f"{refusal.message} (code: {refusal.code})"


def test_events_are_numbered_anew_and_the_first_is_left_out() -> None:
    event = b'event: response.x.delta\ndata: {"type":"response.x.delta","x":1.50,"sequence_number":9}\n\n'
    assert LATE.number(event, 4) == event.replace(b":9}", b":4}")
    for left_out in (b'data: {"type":"response.created"}\n\n', b": comment\n\n", b"data: [DONE]\n\n", b"data: {\n\n"):
        assert LATE.number(left_out, 4) == b""
    assert json.loads(LATE.begun_event(b"{}").split(b"data: ")[1]) == {
        "type": "response.created",
        "response": {},
        "sequence_number": 0,
    }


def test_what_an_answer_failed_of_is_read_from_events_and_bodies() -> None:
    error = b'{"code":"rate_limit_exceeded","message":"slow down"}'
    for told in (
        b'{"error":%b}' % error,
        b'data: {"type":"error","error":%b}\n\n' % error,
        b'data: {"type":"response.failed","response":{"error":%b}}\n\n' % error,
    ):
        found = LATE.fails(told)
        assert isinstance(found, RateLimited)
        assert found.message == "slow down"
    for told in (b'{"error":null}', b'data: {"response":{"error":null}}\n\n', b"[]", b"data: x\n\n"):
        assert LATE.fails(told) is None


def test_a_query_says_from_where_a_stream_is_wanted() -> None:
    asks = {"": None, "stream=false": None, "stream=true": -1, "stream=true&starting_after=7": 7, "include[]=x": None}
    assert {query: LATE.following(query) for query in asks} == asks
    for query in ("starting_after=1", "stream=true&starting_after=-1", "stream=true&starting_after=" + "9" * 30):
        with pytest.raises(Malformed):
            LATE.following(query)
