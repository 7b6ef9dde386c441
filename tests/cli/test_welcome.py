from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from trunkline.app.welcome import Standing, Welcome
from trunkline.cli.welcome import Greeter, greet
from trunkline.estate.deployments import Pattern
from trunkline.observability.metrics import UpstreamState

KEY = "tl-q8Zr4LmX0pWvT2yB7nKdq8Zr4LmX0pWvT2yB7nKd"
URL = "http://127.0.0.1:8440"


def welcome(key: str | None = KEY) -> Welcome:
    return Welcome(
        url=URL,
        estate="acme",
        data=Path("/var/lib/trunkline"),
        root="acme",
        key=key,
        notices=("data sets are not in force yet",),
        deployments=(
            Standing("smol", Pattern.SELF_MANAGED, "huggingface/smollm2", UpstreamState.READY),
            Standing("minilm", Pattern.SELF_MANAGED, "minilm", UpstreamState.STARTING),
            Standing("gpt", Pattern.SAAS, "openai/gpt", UpstreamState.NOT_CONFIGURED, "OPENAI_API_KEY is not set"),
        ),
    )


def printed(shown: Welcome, width: int = 80) -> str:
    text = io.StringIO()
    greet(Console(file=text, width=width), shown)
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_it_says_where_it_listens_and_how_each_deployment_stands(width: int) -> None:
    text = printed(welcome(), width)
    assert f"{URL}/v1" in text
    assert "/var/lib/trunkline" in text
    for pattern in Pattern:
        assert pattern in text
    assert "none declared" in text
    assert "not configured: OPENAI_API_KEY is not set" in text
    assert "data sets are not in force yet" in text


@pytest.mark.parametrize("width", [80, 120])
def test_the_first_key_stands_alone_on_its_line(width: int) -> None:
    assert KEY in printed(welcome(), width).splitlines()


def test_without_a_first_key_no_secret_is_shown_but_how_to_get_one() -> None:
    text = printed(welcome(key=None))
    assert "tl-" not in text
    assert "trunkline key create --unit acme" in text
    assert "$TRUNKLINE_KEY" in text


@pytest.mark.parametrize("key", [KEY, None])
def test_the_python_snippet_is_whole_and_flush_left(key: str | None) -> None:
    text = printed(welcome(key), 60)
    start = text.index("import os" if key is None else "from openai")
    snippet = text[start : text.index("print(answer") + len("print(answer.choices[0].message.content)")]
    compile(snippet, "snippet", "exec")
    assert f'base_url="{URL}/v1"' in snippet


def test_the_curl_snippet_is_never_wrapped_and_holds_json() -> None:
    text = printed(welcome(), 40)
    assert f'  -H "Authorization: Bearer {KEY}" \\' in text.splitlines()
    body = re.search(r"-d '(.*?)'", text, re.DOTALL)
    assert body
    assert json.loads(body[1])["model"] == "general-chat"


def test_an_output_without_unicode_gets_plain_marks() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as text:
        greet(Console(file=text, width=80), welcome())
        assert b"* smol" in raw.getvalue()


def test_off_a_terminal_progress_is_plain_lines() -> None:
    text = io.StringIO()
    with Greeter(Console(file=text, width=80)) as greeter:
        greeter.progress("starting smol")
        greeter.progress("starting minilm")
        greeter.welcome(welcome())
    assert text.getvalue().splitlines()[:2] == ["starting smol", "starting minilm"]


def test_on_a_terminal_progress_is_gone_when_the_start_fails() -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with suppress(RuntimeError), Greeter(console) as greeter:
        greeter.progress("starting smol")
        assert console._live_stack != []
        raise RuntimeError
    assert console._live_stack == []
