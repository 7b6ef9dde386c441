from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.config import document, events
from trunkline.config.document import Mapping, Node, Sequence, parse_document
from trunkline.config.faults import Faults

EXAMPLE = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"
PIECES = (
    *("a", "b: ", "- ", "? ", "&a ", "*a", "&a:", "!x ", "|\n", "> ", "'", '"', " #c", "#", "{", "}", "[", "]", ","),
    *(
        "\n",
        "\n  ",
        "\n ",
        "---\n",
        "...\n",
        "\\u0041",
        "\\/",
        "\\ud83d\\ude00",
        "<<: ",
        ":",
        "-",
        "~",
        "é",
        "😀",
        "\t",
    ),
    *("key: value", "\n- ", "''", '""', "\r\n", "\r", "\u00a0", "\u2028", "|2-\n", "%a", "@", "`"),
)


def shown(node: Node | None) -> object:
    """A tree with its places. An empty value stands nowhere in particular."""
    if isinstance(node, Mapping):
        return node.place, {name: (entry.place, shown(entry.value)) for name, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return node.place, [shown(item) for item in node.items]
    return node if node is None else (node.text, node.plain, node.place if node.text else None)


def read(text: str) -> tuple[object, set[str]]:
    """What is read, and the faults; nor do those of an empty value stand anywhere in particular."""
    faults = Faults()
    tree = shown(parse_document(text, "estate.yaml", faults))
    return tree, {line.split(": ", 1)[1] for line in faults.lines()}


@pytest.mark.skipif(not events.suits_quick(""), reason="libyaml is not there")
@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@settings(max_examples=400, deadline=None)
def test_the_quick_parser_sees_what_the_careful_one_sees(text: str) -> None:
    both = read(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "suits_quick", lambda _: False)
        careful = read(text)
    assert both == careful


def test_an_estate_as_people_write_it_takes_the_quick_way() -> None:
    assert events.suits_quick(EXAMPLE.read_text())
    assert events.suits_quick('{"url": "https://a/?b=1&c=2", "owner": "R&D", "note": "really!"}\n')


@pytest.mark.parametrize("text", ["a:\tb", "%YAML 1.1\n---\na: b", "a: !!str b", "a: |\n  # b", "a\rb", "a: &b: c"])
def test_where_the_two_differ_the_careful_one_reads(text: str) -> None:
    assert not events.suits_quick(text)
