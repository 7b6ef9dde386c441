"""Acme's truth tables as they were last read and agreed to; what the four patterns must differ in, said in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.policy.truth_table import acme, decisions, written

GOLDEN = Path(__file__).parents[1] / "golden" / "policy" / "acme.txt"
HOUSE_FIRST = {"mistral-house": "1", "smol": "2", "gpt-reserved": "3", "gpt-payg": "x", "gpt-saas": "x"}
OWN_CONTRACT_FIRST = {"mistral-brand": "1", "gpt-reserved": "2", "mistral-house": "3", "smol": "4"}
REQUEST_CODE = {"gpt-payg": "x", "gpt-saas": "x"}


def test_the_truth_tables_of_acme_are_as_they_were_agreed_to() -> None:
    assert written() == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize(
    ("use_case", "marks"),
    [
        ("security-triage", {"mistral-house": "1", "smol": "2"}),
        ("content-drafts", OWN_CONTRACT_FIRST | REQUEST_CODE),
        ("hr-answers", HOUSE_FIRST),
        ("workflow", {"gpt-reserved": "1", "gpt-payg": "2", "gpt-saas": "x"}),
    ],
)
def test_each_use_case_goes_only_where_acme_wants_it(use_case: str, marks: dict[str, str]) -> None:
    header, *rows = decisions(*acme())
    found = next(row for row in rows if row[0] == use_case)
    assert {name: mark for name, mark in zip(header[2:], found[2:], strict=True) if mark} == marks
