from __future__ import annotations

import os
from pathlib import Path

import pytest

from trunkline.config.environment import Environment, Resolved, fault_in, kind_of_reference, resolve

SECRET = "sk-very-secret"


def environment(folder: Path, **variables: str) -> Environment:
    return Environment(folder, variables)


def test_a_variable_resolves_to_its_value_without_blanks_around_it(tmp_path: Path) -> None:
    assert resolve("env:KEY", environment(tmp_path, KEY=f" {SECRET}\n")).value == SECRET


def test_a_file_resolves_relative_to_the_estates_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")

    assert resolve("file:key", environment(tmp_path)).value == SECRET
    assert resolve(f"file:{tmp_path}/key", environment(Path("/"))).value == SECRET


def test_anything_else_is_its_own_value(tmp_path: Path) -> None:
    assert resolve("https://models.example.com/v1", environment(tmp_path)) == Resolved("https://models.example.com/v1")


def test_what_does_not_resolve_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "two-lines").write_text("a\nb")
    (tmp_path / "large").write_bytes(b"a" * 70_000)
    (tmp_path / "latin").write_bytes(b"\xfc")
    os.mkfifo(tmp_path / "pipe")
    around = environment(tmp_path, EMPTY=" ", TWO="a\r\nx: b")
    reasons = {
        "env:KEY": "set KEY in the environment",
        "env:EMPTY": "the variable EMPTY is empty",
        "env:TWO": "the variable TWO holds a line break or another control character",
        "env:A-B": "the reference wants a variable's name after `env:`, such as env:OPENAI_API_KEY",
        "file:none": f"put the value into the file {tmp_path}/none",
        "file:pipe": f"put the value into the file {tmp_path}/pipe",
        "file:.": f"put the value into the file {tmp_path}",
        "file:two-lines": f"the file {tmp_path}/two-lines holds a line break or another control character",
        "file:large": f"the file {tmp_path}/large is larger than 65,536 bytes",
        "file:latin": f"the file {tmp_path}/latin is not UTF-8 text",
        "aws-default": "aws-default: only credentials may name a cloud's own chain",
    }

    assert {reference: resolve(reference, around).why for reference in reasons} == reasons
    assert all(resolve(reference, around).value is None for reference in reasons)


@pytest.mark.parametrize("shown", [repr, str])
def test_a_secret_is_never_shown(tmp_path: Path, shown: object) -> None:
    assert callable(shown)
    around = environment(tmp_path, KEY=SECRET)

    assert SECRET not in shown(around)
    assert SECRET not in shown(resolve("env:KEY", around))


def test_a_reference_that_can_never_resolve_has_a_fault_that_does_not_repeat_it() -> None:
    for reference in ("env:sk-abc", "env:", "file: ", "file:a\0b"):
        fault = fault_in(reference)
        assert fault is not None
        assert "sk-abc" not in fault
    assert [fault_in(reference) for reference in ("env:KEY_1", "file:a/b", "aws-default", "anything")] == [None] * 4


def test_kinds_of_references_are_told_apart() -> None:
    kinds = {"env:A": "env", "file:a": "file", "azure-default": "chain", "sk-abc": "literal"}

    assert {text: kind_of_reference(text) for text in kinds} == kinds
