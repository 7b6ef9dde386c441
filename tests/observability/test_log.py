from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from trunkline.observability.log import BLANK, Style, configure, redact


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root, rooms = logging.getLogger(), logging.getLogger("trunkline")
    before = (list(root.handlers), root.level, rooms.level)
    stream = io.StringIO()
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    rooms.setLevel(before[2])


def test_a_json_line_carries_the_message_the_room_and_the_events_own_fields(written: io.StringIO) -> None:
    configure("info", Style.JSON, written)
    logging.getLogger("trunkline.gateway.path").warning("upstream %s failed", "gpt", extra={"request": "req_1"})
    event = json.loads(written.getvalue())
    assert event.pop("at").endswith("Z")
    assert event == {"level": "warning", "room": "gateway", "message": "upstream gpt failed", "request": "req_1"}


def test_a_stream_that_is_no_terminal_gets_json_and_text_has_no_colour_there(written: io.StringIO) -> None:
    configure("info", Style.AUTO, written)
    logging.getLogger("trunkline.app").info("hello")
    assert json.loads(written.getvalue())["message"] == "hello"
    written.truncate(0)
    configure("info", Style.TEXT, written)
    logging.getLogger("trunkline.app").info("hello", extra={"port": 1})
    assert "\x1b" not in written.getvalue()
    assert written.getvalue().rstrip().endswith("hello  port=1")


@pytest.mark.parametrize("style", [Style.TEXT, Style.JSON])
def test_nothing_that_is_said_passes_for_a_line_of_its_own_or_commands_a_terminal(
    written: io.StringIO, style: Style
) -> None:
    configure("info", style, written)
    said = "gpt\r\n12:00:00 error    app  all is lost\x1b[2J\x9b2J\u2028\x00"
    logging.getLogger("trunkline.gateway").info("refused %s", said, extra={"inside": said})
    first, *others = written.getvalue().rstrip("\n").split("\n")
    assert "refused gpt" in first
    assert all(line.startswith("    ") for line in others)
    assert not set("\r\x1b\x9b\u2028\x00") & set(written.getvalue()), written.getvalue()


def test_configuring_twice_writes_a_line_once(written: io.StringIO) -> None:
    configure("info", Style.JSON, written)
    configure("info", Style.JSON, written)
    logging.getLogger("trunkline.app").info("once")
    assert written.getvalue().count("once") == 1


def test_a_failure_carries_its_trace_in_the_one_line(written: io.StringIO) -> None:
    configure("info", Style.JSON, written)
    broke = RuntimeError("Authorization: Bearer abc.def.ghi")
    logging.getLogger("trunkline.app").error("it broke", exc_info=broke)
    line = written.getvalue()
    assert line.count("\n") == 1
    assert "RuntimeError" in json.loads(line)["trace"]
    assert "abc.def.ghi" not in line


def test_levels_below_the_one_asked_for_are_not_written_and_libraries_speak_from_warning_on(
    written: io.StringIO,
) -> None:
    configure("debug", Style.JSON, written)
    logging.getLogger("sqlalchemy.engine").info("SELECT secrets")
    logging.getLogger("trunkline.app").debug("seen")
    assert "SELECT" not in written.getvalue()
    assert "seen" in written.getvalue()
    configure("error", Style.JSON, written)
    logging.getLogger("trunkline.app").warning("unseen")
    assert "unseen" not in written.getvalue()


def test_an_unknown_level_is_said_so() -> None:
    with pytest.raises(ValueError, match="no log level 'loud': debug"):
        configure("loud")


@pytest.mark.parametrize(
    "line",
    [
        "key tl-{} was used",
        "sk-proj-{}",
        "Authorization: Bearer {}",
        "authorization: basic {}",
        '{{"x-api-key": "{}"}}',
        "api-key={}",
        "GET /v1beta/models/g:generateContent?key={} HTTP/1.1",
        "AIza{}",
        "hf_{}",
    ],
)
def test_whatever_looks_like_a_key_is_blanked(line: str) -> None:
    secret = "q8Zr4LmX0pWvT2yB7nKd"
    blanked = redact(line.format(secret))
    assert secret not in blanked
    assert BLANK in blanked


@pytest.mark.parametrize(
    "line",
    [
        "the task-runner of general-chat at key_0a1b2c3d4e5f is html-rendering",
        "OPENAI_API_KEY is not set",
        "risk-based desk-research",
    ],
)
def test_ordinary_words_are_left_alone(line: str) -> None:
    assert redact(line) == line
