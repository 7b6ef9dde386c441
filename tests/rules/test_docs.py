"""Documentation is held against the code: every link, command, variable and field, and what the code writes itself."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rules.conftest import Source

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
VARIABLE = re.compile(r"\bTRUNKLINE_[A-Z][A-Z_]*[A-Z]\b")


REFUSAL = re.compile(r'\b(?:default_code|code|[A-Z]+_CODE)\b[^=\n]*= ?"([a-z_]+)"|Refused\(\d+, "([a-z_]+)"')


# Said by commands, which have exit codes and no JSON.
COMMAND_LINE_CODES = {"attempt_not_found", "key_not_found", "lease_not_found"}


def pages(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.md")])


def prose(text: str) -> str:
    """The page without its code, where brackets mean something else."""
    return CODE.sub("", FENCE.sub("", text))


def links(text: str) -> Iterator[str]:
    for match in LINK.finditer(prose(text)):
        yield next(target for target in match.groups() if target)


def anchors(text: str) -> set[str]:
    """The anchors that headings get: lower case, without punctuation, hyphens for spaces."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    found = []
    for link in links(page.read_text("utf-8")):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        lost = not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8")))
        if lost:
            found.append(link)
    return found


@pytest.fixture(scope="module")
def reference(root: Path) -> ModuleType:
    """The script that writes the reference pages."""
    spec = importlib.util.spec_from_file_location("reference", root / "docs/reference/write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_link_leads_somewhere(root: Path) -> None:
    assert [(page.name, found) for page in pages(root) if (found := broken_links(page))] == []


def test_every_page_can_be_reached_from_the_readme(root: Path) -> None:
    reached: set[Path] = set()
    ahead = [root / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = [page.parent / link.partition("#")[0] for link in links(page.read_text("utf-8")) if ":" not in link]
        ahead += targets
        ahead += [found for folder in targets if folder.is_dir() for found in folder.glob("*.md")]
    assert [page.name for page in pages(root) if page.resolve() not in reached] == []


def test_the_reference_pages_are_what_the_code_says(root: Path, reference: ModuleType) -> None:
    for name, text in reference.written().items():
        page = root / "docs/reference" / name
        assert page.read_text("utf-8") == text, f"{name} is out of date: make docs writes it anew"


def test_every_variable_that_the_code_reads_is_documented(root: Path, product: list[Source]) -> None:
    documented = set(VARIABLE.findall("".join(page.read_text("utf-8") for page in (root / "docs").rglob("*.md"))))
    read = {variable for source in product for variable in VARIABLE.findall(source.text)}
    assert read - documented == set()


def test_every_documented_variable_is_read_by_the_code(root: Path, product: list[Source]) -> None:
    read = {variable for source in product for variable in VARIABLE.findall(source.text)}
    documented = {variable for page in pages(root) for variable in VARIABLE.findall(page.read_text("utf-8"))}
    assert documented - read == set()


def test_every_error_code_is_documented(root: Path, product: list[Source]) -> None:
    page = (root / "docs/reference/errors.md").read_text("utf-8")
    given = {code for source in product for pair in REFUSAL.findall(source.text) for code in pair if code}
    assert {code for code in given if f"`{code}`" not in page} - COMMAND_LINE_CODES == set()
    assert set(re.findall(r"\| `([a-z_]+)` \|", page)) - given == set()


def test_every_decision_has_a_number_of_its_own_and_none_is_left_out(root: Path) -> None:
    notes = sorted((root / "docs" / "decisions").glob("*.md"))
    numbers = [f"{number:03d}" for number in range(1, len(notes) + 1)]
    assert [note.name[:3] for note in notes] == numbers
    assert [note.read_text("utf-8")[2:5] for note in notes] == numbers


def test_a_broken_link_or_anchor_is_seen(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, with *marks*\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[good](other.md) [good](other.md#a-heading-with-marks) [out](https://example.org)\n"
        "[gone](missing.md) [gone](other.md#nowhere) ![gone](picture.svg) `[code](no.md)`\n",
        "utf-8",
    )
    assert broken_links(page) == ["missing.md", "other.md#nowhere", "picture.svg"]
