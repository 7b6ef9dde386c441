from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.config import document
from trunkline.config.document import Mapping, Node, Scalar, Sequence, locate, parse_document
from trunkline.config.faults import Faults


def parse(text: str) -> Node:
    faults = Faults()
    node = parse_document(text, "estate.yaml", faults)
    assert not faults, faults.lines()
    assert node is not None
    return node


def faults_of(text: str) -> list[str]:
    faults = Faults()
    parse_document(text, "estate.yaml", faults)
    return [line.removeprefix("estate.yaml:") for line in faults.lines()]


def plain(node: Node) -> object:
    """The values of a tree, as JSON has them."""
    if isinstance(node, Mapping):
        return {name: plain(entry.value) for name, entry in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.text if node.kind == "text" else json.loads(node.text.lower())


def test_on_and_yes_are_text_and_true_is_not() -> None:
    node = parse("on: yes\noff: true\n")

    assert isinstance(node, Mapping)
    kinds = {name: entry.value.kind for name, entry in node.entries.items() if isinstance(entry.value, Scalar)}
    assert kinds == {"on": "text", "off": "true or false"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12", "a whole number"),
        ("-012", "a whole number"),
        ("0x1F", "a whole number"),
        ("1.50", "a number"),
        ("1e3", "a number"),
        (".inf", "a number"),
        ("12:30", "text"),
        ("1_000", "text"),
        ("'12'", "text"),
        ("~", "nothing"),
        ('""', "text"),
    ],
)
def test_a_scalar_is_what_yaml_1_2_takes_it_for(text: str, kind: str) -> None:
    node = parse(f"[{text}]")

    assert isinstance(node, Sequence)
    assert isinstance(node.items[0], Scalar)
    assert node.items[0].kind == kind


def test_a_price_keeps_the_text_it_was_written_in() -> None:
    node = parse("price: 0.100000000000000000001")

    assert plain_text(node, "price") == "0.100000000000000000001"


def plain_text(node: Node, name: str) -> str:
    assert isinstance(node, Mapping)
    value = node.entries[name].value
    assert isinstance(value, Scalar)
    return value.text


def test_every_value_and_name_knows_where_it_stands() -> None:
    node = parse("pools:\n  main: {tiers: [[a], [b]]}\n")

    assert str(locate(node, ("pools", "main", "tiers", 1, 0))) == "estate.yaml:2:24"
    assert str(locate(node, ("pools", "main", "tiers"), name=True)) == "estate.yaml:2:10"
    assert str(locate(node, ("pools", "main", "owner"))) == "estate.yaml:2:9"  # not written: what is above it


def test_a_name_given_twice_is_a_fault() -> None:
    assert faults_of("a: 1\nb: 2\na: 3\n") == ['3:1: "a" is given twice; the first is at line 1']


def test_aliases_stand_for_their_anchor_and_merged_names_give_way_to_written_ones() -> None:
    node = parse("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3, z: 4}\nd: {y: 5, <<: [{y: 6}, *a]}\n")

    one = {"x": 1, "y": 2}
    assert plain(node) == {"a": one, "b": one, "c": {"y": 3, "z": 4, "x": 1}, "d": {"y": 5, "x": 1}}


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]

    assert faults_of("\n".join(lines)) == ["6:5: this stands for more than 200,000 values; use fewer aliases"]


def test_an_alias_inside_its_own_anchor_is_refused() -> None:
    assert faults_of("a: &a [*a]") == ["1:8: no `&a` stands before `*a`"]


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert faults_of(text)[0].endswith("this is nested deeper than 40 levels")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_bytes(b"a" * (document.MOST_BYTES + 1))
    faults = Faults()

    assert document.read_document(file, faults) is None
    assert faults.lines()[0].endswith("the file is larger than 4 MB; split it into a folder of files")


def test_a_byte_that_is_not_utf_8_is_found_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_bytes(b"estate: acme\nname: M\xfcller\n")
    faults = Faults()

    assert document.read_document(file, faults) is None
    assert faults.lines() == (f"{file}:2:8: the file is not UTF-8 text",)


def test_a_second_document_is_refused() -> None:
    assert faults_of("a: 1\n---\nb: 2") == ["2:1: a file holds one document; take out the `---` and what follows"]


json_values = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2, "\t"]))
@settings(max_examples=60, deadline=None)
def test_json_means_what_it_means_in_json(value: object, ascii_only: bool, indent: int | str | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if not ascii_only and any(not letter.isprintable() for letter in text):
        return  # characters that YAML wants escaped
    if '"<<"' in text:
        return

    assert plain(parse(text)) == value


@given(st.text(alphabet="ab:-?&*!|>'\"%@`#{}[],\n \t~<\\0", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_tree_or_a_fault_with_its_place(text: str) -> None:
    faults = Faults()
    node = parse_document(text, "estate.yaml", faults)

    assert node is not None or faults
    assert all(line.startswith("estate.yaml:") for line in faults.lines())
