from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from rich.console import Console

from trunkline.cli.attempts import call_view
from trunkline.cli.decisions import DecisionWords, in_words
from trunkline.metering.records import AttemptRow

OWN = DecisionWords(
    use_case="chat",
    data_class="internal",
    why="the use case's own",
    counts="1 deployment allowed, 1 refused",
    reason="tier 1",
)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("chat as internal: 1 allowed, 1 refused; tier 1", OWN),
        ("chat 2.1 as internal: 1 allowed, 1 refused; tier 1", replace(OWN, version="2.1")),
        (
            "chat as restricted, as the caller asked: 3 allowed, 0 refused, 2 not configured; tier 2 after 1 failed",
            DecisionWords(
                use_case="chat",
                data_class="restricted",
                why="the caller asked for it",
                counts="3 deployments allowed, 0 refused, 2 allowed but not configured",
                reason="tier 2 after 1 failed",
            ),
        ),
        (
            "chat as internal: 1 allowed, 1 refused; public is looser: ignored; set store=false (kept 30 days); tier 1",
            replace(OWN, notes=("public is looser: ignored",), rewrites=("set store=false (kept 30 days)",)),
        ),
        (
            "chat as internal: 1 allowed, 1 refused; dropped metadata (stored); tier 1",
            replace(OWN, rewrites=("dropped metadata (stored)",)),
        ),
        ("2 allowed, 1 refused", DecisionWords(notes=("2 allowed, 1 refused",))),
        ("", DecisionWords()),
    ],
)
def test_a_kept_decision_is_taken_apart(kept: str, words: DecisionWords) -> None:
    assert in_words(kept) == words


def test_a_call_is_shown_with_its_decision_in_words_and_why_each_attempt_went_where(
    row: Callable[..., AttemptRow],
) -> None:
    short = "general-chat as internal: 2 allowed, 1 refused; data class public is looser: ignored; "
    first = row(attempt=1, decision=short + "tier 1")
    second = row(attempt=2, decision=short + "tier 2 after 1 failed", deployment="smol")
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as shown:
        console.print(call_view([first, second]))
    text = shown.get()
    assert "internal, the use case's own" in text
    assert "2 deployments allowed, 1 refused" in text
    assert "data class public is looser: ignored" in text
    assert text.index("tier 1") < text.index("tier 2 after 1 failed")
