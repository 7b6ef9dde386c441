"""What is handed out speaks of the product: not of one machine, one mirror, or how it came to be."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.}])/(?:root|home|work|Users)/\w"),
    "a registry's host": re.compile(
        r"(?:https?:)?//[^\s/]*(?:pypi|pythonhosted|npmjs|crates|debian)\.\w+|/simple/\S|--(?:extra-)?index-url"
    ),
    "a reference to papers that are not here": re.compile(r"\bDESIGN(?:\.md)?\b|\b[Ii]ssue #?\d+\b|\bPR #\d+\b"),
    "how it is developed": re.compile(
        r"\b(?:AGENTS|CLAUDE)\.md\b|[Cc]o-[Aa]uthored-[Bb]y|\b(?:sub-?agent|worktree)s?\b|(?<!\w)prompted to\b"
    ),
}
PICTURES = {".png", ".ico", ".woff2", ".gguf"}
THIS = "tests/rules/test_words.py"


def faults(text: str) -> list[str]:
    return [
        f"line {number}: {what}: {found[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in FORBIDDEN.items()
        if (found := pattern.search(line))
    ]


def handed_out(root: Path) -> list[Path]:
    """The files under version control; where git or its folder is missing there is nothing to go by."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        pytest.skip("not a git clone")
    names = subprocess.run([git, "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if names.returncode:
        pytest.skip(f"git would not list the files: {names.stderr.strip()}")
    return [root / name for name in names.stdout.split("\0") if name]


def test_no_file_speaks_of_a_machine_a_mirror_or_its_making(root: Path) -> None:
    for file in handed_out(root):
        name = file.relative_to(root).as_posix()
        if file.suffix in PICTURES or name == THIS or not file.is_file():
            continue
        assert faults(file.read_text("utf-8")) == [], name


@pytest.mark.parametrize(
    "line",
    [
        "data = /root/data",
        "see /home/someone/notes",
        "--index-url https://mirror.example/simple/trunkline",
        "https://files.pythonhosted.org/packages",
        "as DESIGN 5 says",
        "closes issue #12",
        "Co-authored-by: somebody",
    ],
)
def test_such_words_are_seen(line: str) -> None:
    assert faults(line)


@pytest.mark.parametrize(
    "line", ["~/.trunkline", "/v1/models", "an issue of the certificate", "https://api.openai.com/v1", "by design"]
)
def test_ordinary_words_pass(line: str) -> None:
    assert faults(line) == []
