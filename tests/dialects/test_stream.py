import json

import pytest

from trunkline.dialects.openai.codec import decode
from trunkline.dialects.openai.stream import ChatStream
from trunkline.errors import Declined, Garbled
from trunkline.messages import Asked, Operation, Usage

USAGE = {"prompt_tokens": 9, "completion_tokens": 4}


def asked(**fields: object) -> Asked:
    whole = {"model": "m", "messages": [{"role": "user", "content": "12345678"}], "stream": True, **fields}
    return decode(Operation.CHAT, json.dumps(whole).encode())


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def piece(text: str, finish: str | None = None, index: int = 0) -> bytes:
    return event(choices=[{"index": index, "delta": {"content": text}, "finish_reason": finish}], usage=None)


def test_the_usage_event_is_kept_back_from_a_caller_that_did_not_ask_for_it() -> None:
    stream = ChatStream(asked())
    assert stream.take(piece("a"))
    assert not stream.take(event(choices=[], usage=USAGE))
    assert stream.take(b"data: [DONE]\n\n")
    assert stream.used(complete=True) == Usage(input=9, output=4)


def test_the_usage_event_goes_to_a_caller_that_asked_for_it() -> None:
    stream = ChatStream(asked(stream_options={"include_usage": True}))
    assert stream.take(event(choices=[], usage=USAGE))


def test_usage_in_every_chunk_is_passed_on_and_the_last_word_counts() -> None:
    stream = ChatStream(asked())
    for count in (1, 2, 3):
        choices = [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop" if count == 3 else None}]
        assert stream.take(event(choices=choices, usage={"prompt_tokens": 9, "completion_tokens": count}))
    assert stream.used(complete=True) == Usage(input=9, output=3)


def test_the_word_usage_inside_an_answer_is_only_text() -> None:
    stream = ChatStream(asked())
    stream.take(piece('"usage":{"prompt_tokens":1000000,"completion_tokens":1}', "stop"))
    assert stream.used(complete=True).estimated


def test_an_event_without_choices_that_is_not_usage_goes_on() -> None:
    assert ChatStream(asked()).take(event(choices=[], prompt_filter_results=[], usage=None))


def test_a_comment_goes_on() -> None:
    assert ChatStream(asked()).take(b": ping\n\n")


def test_a_stream_is_whole_at_its_done_event_or_when_every_answer_has_finished() -> None:
    stream = ChatStream(asked(n=2))
    stream.take(piece("a", "stop", 0))
    assert not stream.whole
    stream.take(piece("b", "length", 1))
    assert stream.whole
    done = ChatStream(asked())
    done.take(b"data: [DONE]\n\n")
    assert done.whole


def test_a_cut_stream_counts_what_was_produced_and_never_less_than_the_upstream_said() -> None:
    stream = ChatStream(asked())
    stream.take(piece("x" * 40))
    assert stream.used(complete=False) == Usage(
        input=len(json.dumps([{"role": "user", "content": "12345678"}])) // 4 + 1, output=10, estimated=True
    )
    stream.take(event(choices=[{"index": 0, "delta": {}}], usage={"prompt_tokens": 9, "completion_tokens": 25}))
    assert stream.used(complete=False) == Usage(input=9, output=25, estimated=True)


def test_an_error_event_marks_the_stream_as_failed() -> None:
    stream = ChatStream(asked())
    assert stream.take(event(error={"message": "overloaded"}))
    assert stream.failed


def test_an_event_that_is_not_json_is_garbled() -> None:
    with pytest.raises(Garbled):
        ChatStream(asked()).take(b"data: <html>\n\n")


def test_a_chunk_of_unexpected_types_goes_on_and_is_counted() -> None:
    stream = ChatStream(asked())
    assert stream.take(event(choices=[{"index": 0, "delta": {"content": ["parts"]}}]))
    assert stream.used(complete=False).output > 0


def test_an_error_is_no_end_though_the_end_mark_stands_behind_it() -> None:
    stream = ChatStream(asked())
    stream.take(piece("a", "stop"))
    assert stream.take(event(error={"message": "boom"}))
    assert not stream.take(b"data: [DONE]\n\n")
    assert (stream.failed, stream.done, stream.whole) == (True, False, False)


def test_an_event_that_is_an_error_itself_ends_the_stream() -> None:
    stream = ChatStream(asked())
    stream.take(piece("a"))
    with pytest.raises(Declined):
        stream.take(event(object="error", message="boom", type="BadRequestError", code=400))
