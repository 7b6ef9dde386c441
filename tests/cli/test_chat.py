from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from rich.console import Console

from trunkline.cli.chat import Session
from trunkline.cli.conversation import Conversation, NotAnswered

if TYPE_CHECKING:
    from tests.cli.conftest import Command


class Pieces(list[str]):
    """An answer that comes in these pieces; `^C` stands for the key."""

    request = "req_1"
    deployment = "smol"

    def __iter__(self) -> Iterator[str]:
        for piece in super().__iter__():
            if piece == "^C":
                raise KeyboardInterrupt
            yield piece


class Scripted(Conversation):
    """A conversation whose answers are written down."""

    def __init__(self, *answers: list[str] | NotAnswered) -> None:
        super().__init__("http://exchange.example:8440", "tl-key", "general-chat")
        self._answers = list(answers)
        self.asked: list[str] = []

    @contextmanager
    def ask(self, text: str) -> Iterator[Pieces]:  # type: ignore[override]
        self.asked.append(text)
        answer = self._answers.pop(0)
        if isinstance(answer, NotAnswered):
            raise answer
        yield Pieces(answer)

    def models(self) -> tuple[str, ...]:
        return ("general-chat", "content-drafts")


def sit(conversation: Conversation, *lines: str) -> SimpleNamespace:
    """Hold a sitting with these lines as input."""
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    left = list(lines)

    def read(prompt: str = "") -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    console.input = read  # type: ignore[method-assign, assignment]
    code = Session(console, conversation, Path("/nowhere")).run("> ")
    return SimpleNamespace(code=code, out=shown.getvalue())


def test_answers_stream_into_the_terminal_and_are_remembered() -> None:
    talk = Scripted(["Hel", "lo"], ["Bye"])
    done = sit(talk, "Hi", "", "Bye", "/quit", "never read")
    assert done.code == 0
    assert "Hello" in done.out
    assert "smol" in done.out
    assert talk.asked == ["Hi", "Bye"]
    assert [message["content"] for message in talk._messages] == ["Hi", "Hello", "Bye", "Bye"]


def test_ctrl_c_stops_an_answer_and_not_the_sitting() -> None:
    talk = Scripted(["Once", "^C", "upon"], ["Yes"])
    done = sit(talk, "Tell me", "Still there?")
    assert "upon" not in done.out
    assert "stopped" in done.out
    assert "Yes" in done.out


def test_commands_change_the_model_list_them_and_forget() -> None:
    talk = Scripted(["Hello"])
    done = sit(talk, "Hi", "/models", "/model content-drafts", "/clear", "/nonsense")
    assert "* general-chat" in done.out
    assert talk.model == "content-drafts"
    assert talk._messages == []
    assert "/quit" in done.out


def test_a_refusal_is_said_and_the_sitting_goes_on() -> None:
    done = sit(Scripted(NotAnswered("no budget is left"), ["Hello"]), "Hi", "Again")
    assert "no budget is left" in done.out
    assert done.code == 0
    assert sit(Scripted(NotAnswered("no budget is left")), "Hi").code == 1


def test_markup_in_an_answer_is_only_text() -> None:
    assert "[bold]x[/nothing]" in sit(Scripted(["[bold]x[/nothing]"]), "Hi").out


def test_without_a_key_and_a_terminal_it_says_how_to_give_one(
    trunkline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", cast("io.TextIOBase", io.StringIO("Hi\n")))
    done = trunkline("chat")
    assert done.code == 1
    assert "TRUNKLINE_KEY" in done.err
