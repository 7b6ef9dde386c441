from __future__ import annotations

from decimal import Decimal

import pytest

from trunkline.estate.claims import Requirement
from trunkline.estate.requirements import possible


@pytest.mark.parametrize(("control", "asked", "holds"), [
    ("training_use", (Requirement(is_="never"),), True),
    ("training_use", (Requirement(is_="never"), Requirement(within=("opt_in", "always"))), True),
    ("training_use", (Requirement(is_="seldom"),), False),
    ("stored_forced_off", (Requirement(is_=True),), True),
    ("stored_forced_off", (Requirement(is_=False),), True),
    ("stored_forced_off", (Requirement(is_=True), Requirement(is_=False)), False),
    ("residency_processing", (Requirement(is_="eu"), Requirement(within=("de", "us"))), True),
    ("residency_processing", (Requirement(is_="eu"), Requirement(is_="us")), False),
    ("app_state_retention_days", (Requirement(at_most=Decimal(0)),), True),
    ("app_state_retention_days", (Requirement(is_=7), Requirement(at_most=Decimal(30))), True),
    ("app_state_retention_days", (Requirement(is_="until_deleted"),), True),
    ("app_state_retention_days", (Requirement(at_least=Decimal("0.5")),), True),
    ("app_state_retention_days", (Requirement(at_least=Decimal(7)), Requirement(at_most=Decimal(7))), True),
    ("app_state_retention_days", (Requirement(at_least=Decimal(8)), Requirement(at_most=Decimal(7))), False),
    ("sub_processors", (Requirement(within=("a",)), Requirement(within=("b",))), True),
    ("sub_processors", (Requirement(is_="a"),), True),
    ("certifications", (Requirement(includes=("a", "b")), Requirement(includes=("c",))), True),
    ("certifications", (Requirement(is_="a"), Requirement(includes=("c",))), True),
    ("certifications", (Requirement(within=("a",)),), False),
])  # fmt: skip
def test_requirements_are_possible_where_some_value_meets_them_all(
    control: str, asked: tuple[Requirement, ...], holds: bool
) -> None:
    assert possible(control, asked) is holds
