"""Values that an estate only refers to: secrets and addresses that live in the environment or in files.

`env:NAME` is a variable, `file:PATH` a file (relative to the estate's folder, or below `~`), `aws-default` and its like
a cloud's own chain of credentials. Everything else is its own value. Values are secrets: neither a `repr` nor a reason
ever holds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

CHAINS: Final = frozenset({"aws-default", "azure-default", "google-default"})
"""Names of clouds' own chains of credentials. What they hand out is fetched while the exchange runs, not looked up."""

MOST_BYTES: Final = 65_536

Kind = Literal["env", "file", "chain", "literal"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Environment(msgspec.Struct, frozen=True):
    """Where references are looked up. `folder` is the one the estate's file stands in."""

    folder: Path
    variables: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Environment(folder={self.folder!r})"


class Resolved(msgspec.Struct, frozen=True):
    """What a reference stands for; without a value, `why` says what to do."""

    value: str | None
    why: str = ""

    def __repr__(self) -> str:
        return f"Resolved({'a value' if self.value is not None else self.why!r})"


def kind_of_reference(text: str) -> Kind:
    """Say what a text refers to."""
    if text.startswith("env:"):
        return "env"
    if text.startswith("file:"):
        return "file"
    return "chain" if text in CHAINS else "literal"


def fault_in(text: str) -> str | None:
    """Say what is wrong with the form of a reference, or None. A literal has no form. Never quotes the text."""
    kind = kind_of_reference(text)
    if kind == "env" and _VARIABLE.match(text[4:]) is None:
        return "wants a variable's name after `env:`, such as env:OPENAI_API_KEY"
    if kind == "file" and (not text[5:].strip() or "\0" in text):
        return "wants a path after `file:`, such as file:secrets/openai"
    return None


def resolve(reference: str, environment: Environment) -> Resolved:
    """Return what `reference` stands for. Blanks and line ends around the value are taken off.

    A value with line breaks or other control characters inside is not given: it could not stand in a header.
    """
    kind = kind_of_reference(reference)
    if kind == "literal":
        return Resolved(reference)
    if (fault := fault_in(reference)) is not None:
        return Resolved(None, f"the reference {fault}")
    if kind == "chain":
        return Resolved(None, f"{reference}: only credentials may name a cloud's own chain")
    if kind == "env":
        name = reference[4:]
        return _clean(environment.variables.get(name), f"the variable {name}", f"set {name} in the environment")
    path = environment.folder / _expand(reference[5:].strip())
    text, problem = _read_file(path)
    return _clean(text, f"the file {path}", problem)


def _clean(found: str | None, source: str, missing: str) -> Resolved:
    """Take blanks off what was found, and refuse what could not stand in a header."""
    if found is None:
        return Resolved(None, missing)
    value = found.strip()
    if not value:
        return Resolved(None, f"{source} is empty")
    if _CONTROL.search(value):
        return Resolved(None, f"{source} holds a line break or another control character")
    return Resolved(value)


def _expand(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no home folder: the path stays as it is, and is not found
        return Path(path)


def _read_file(path: Path) -> tuple[str | None, str]:
    """Return a file's text, or None and what to do. Only ordinary files: a pipe would hold everything up."""
    if not path.is_file():
        return None, f"put the value into the file {path}"
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            return None, f"the file {path} is larger than {MOST_BYTES:,} bytes"
        return raw.decode("utf-8-sig"), ""
    except OSError as problem:
        return None, f"the file {path} cannot be read: {problem.strerror}"
    except UnicodeDecodeError:
        return None, f"the file {path} is not UTF-8 text"
