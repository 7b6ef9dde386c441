from __future__ import annotations

import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from trunkline.cli.flow import Flow

WIDTH = 20
words = st.text(alphabet="abcdefgh", min_size=1, max_size=WIDTH)
texts = st.lists(words, min_size=1, max_size=40).map(" ".join)


def flowed(pieces: list[str], *, terminal: bool) -> str:
    shown = io.StringIO()
    flow = Flow(Console(file=shown, width=WIDTH, force_terminal=terminal, no_color=True))
    for piece in pieces:
        flow.write(piece)
    flow.end()
    return shown.getvalue()


@given(texts, st.lists(st.integers(min_value=0, max_value=400)))
def test_no_line_breaks_within_a_word_however_the_pieces_fall(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    shown = flowed([text[start:end] for start, end in pairwise(places)], terminal=True)
    assert shown.split() == text.split()
    assert all(len(line.rstrip()) <= WIDTH for line in shown.splitlines())


def test_line_breaks_and_indents_of_the_answer_stay() -> None:
    assert flowed(["def f():\n", "    re", "turn 1\n\nThat is all."], terminal=True) == (
        "def f():\n    return 1\n\nThat is all.\n"
    )


def test_a_word_longer_than_the_line_is_written_whole() -> None:
    assert flowed(["see ", "https://example.org/a/very/long", "/path now"], terminal=True).replace("\n", "") == (
        "see https://example.org/a/very/long/path now".replace("see ", "see ")
    )


def test_off_a_terminal_the_text_goes_out_as_it_comes() -> None:
    text = "one two three four five six seven eight nine"
    assert flowed([text[:10], text[10:]], terminal=False) == text + "\n"
