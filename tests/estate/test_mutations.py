"""Whatever is done to an estate, it loads, or says where it is wrong: never anything else."""

from __future__ import annotations

import copy
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from ruamel.yaml import YAML

from trunkline.errors import BadEstate
from trunkline.estate.load import load

EXAMPLES = (
    Path(__file__).parent / "example.yaml",
    Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml",
)
FAULT = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): \S.+")

STRANGE: list[Any] = [
    None,
    True,
    0,
    -1,
    2.5,
    10**30,
    "",
    "x",
    "acme",
    "smol",
    "env:",
    "2027-01-01",
    "9999-99-99",
    "\U0001f600",
    "a\nb",
    [],
    {},
    [[]],
    ["x", "x"],
    {"x": {}},
    [None],
    {"is": 1},
    {"unit": "acme"},
]


def as_json(value: Any) -> Any:
    """Dates as text, names as text: the estate as JSON can hold it."""
    if isinstance(value, dict):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else value.isoformat()


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every node below the root."""
    found: list[tuple[str | int, ...]] = []
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        found += [(*path, step), *paths(each, (*path, step))]
    return found


TREES = [as_json(YAML(typ="safe", pure=True).load(file)) for file in EXAMPLES]


def check(text: str) -> None:
    """Load the text; when it has faults, each stands at a line that exists."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "estate.json"
        file.write_text(text)
        lines = text.count("\n") + 1
        faults: tuple[str, ...] = ()
        try:
            estate = load(file).estate
            assert estate.lineage(estate.root) == (estate.root,)
        except BadEstate as bad:
            faults = bad.faults
        places = [FAULT.fullmatch(fault) for fault in faults]
        assert all(place is not None and int(place["line"]) <= lines for place in places), faults


changes = st.tuples(
    st.integers(0, 2**16), st.sampled_from(["drop", "rename", "replace", "move"]), st.integers(0, 2**16)
)


def change(tree: Any, where: int, how: str, what: int) -> None:
    """Drop, rename or replace one node; `what` chooses the replacement, something strange or another node."""
    ways = paths(tree)
    *above, last = ways[where % len(ways)]
    holder = tree
    for step in above:
        holder = holder[step]
    if how == "drop" or (how == "rename" and isinstance(holder, list)):
        del holder[last]
    elif how == "rename":
        holder[f"{last}x"] = holder.pop(last)
    elif how == "replace":
        holder[last] = copy.deepcopy(STRANGE[what % len(STRANGE)])
    else:
        source = tree
        for step in ways[what % len(ways)]:
            source = source[step]
        holder[last] = copy.deepcopy(source)


@given(st.sampled_from([0, 1]), st.lists(changes, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_changed_estate_loads_or_says_where_it_is_wrong(example: int, done: list[tuple[int, str, int]]) -> None:
    tree = copy.deepcopy(TREES[example])
    for where, how, what in done:
        change(tree, where, how, what)

    check(json.dumps(tree, indent=1, ensure_ascii=False))


@given(
    st.sampled_from([0, 1]),
    st.integers(0, 2**16),
    st.integers(0, 30),
    st.text(alphabet="\n\t :-[]{}\"'#&*!|>%@`,?~0a", max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_a_damaged_file_loads_or_says_where_it_is_wrong(example: int, start: int, length: int, put: str) -> None:
    text = EXAMPLES[example].read_text()
    start %= len(text)

    check(text[:start] + put + text[start + length :])


@pytest.mark.parametrize("file", EXAMPLES, ids=["test", "acme"])
def test_an_example_means_the_same_as_json(file: Path, tmp_path: Path) -> None:
    copied = tmp_path / "estate.json"
    copied.write_text(json.dumps(TREES[EXAMPLES.index(file)]))

    # JSON's `46.0` is YAML's `46.00`, but another text, so only the version may differ.
    assert replace(load(copied).estate, version="") == replace(load(file).estate, version="")
