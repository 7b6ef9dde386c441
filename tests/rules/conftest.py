from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
WANTED_LINES = 400


class Source(NamedTuple):
    """A Python file of the project: its path from the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module


def sources(*folders: str) -> Iterator[Source]:
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            text = file.read_text("utf-8")
            yield Source(file.relative_to(ROOT).as_posix(), text, ast.parse(text))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def product() -> list[Source]:
    """Every file of the package."""
    return list(sources("src"))


@pytest.fixture(scope="session")
def everything(product: list[Source]) -> list[Source]:
    """The package, the tests, the bench and the scripts of the docs."""
    return [*product, *sources("tests", "bench", "docs")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    long = [(source.text.count("\n"), source.path) for source in sources("src", "tests", "bench", "docs")]
    if long := sorted((found for found in long if found[0] > WANTED_LINES), reverse=True):
        terminalreporter.write_line(f"Files above the {WANTED_LINES} lines we want:")
        for lines, path in long:
            terminalreporter.write_line(f"  {lines:4d}  {path}")
