"""Writes Acme's truth tables as text: `python -m tests.policy.truth_table > tests/golden/policy/acme.txt`.

Read the difference before keeping it: it is what an auditor would want to see.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from trunkline.catalog.controls import CONTROLS
from trunkline.catalog.profile import load_profiles
from trunkline.catalog.vendor import load_vendors
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis
from trunkline.estate.deployments import Pattern
from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.estate.load import load
from trunkline.policy.explain import Question, explain
from trunkline.policy.explanation import Row
from trunkline.policy.remedy import write
from trunkline.policy.sources import trace
from trunkline.policy.surroundings import Surroundings

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"
NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))

MARKS = {
    Basis.UNVERIFIED: "?",
    Basis.PUBLISHED_DEFAULT: "P",
    Basis.CONTRACT: "C",
    Basis.ENFORCED_SETTING: "E",
    Basis.OPERATOR_RUN: "O",
    Basis.ATTESTED_PER_RESPONSE: "A",
}

TABLES = """\
ACME ON 2026-11-22, EVERYTHING CONFIGURED

What is claimed, and on which basis: P published default, C contract, E enforced setting, O operator-run. What is not
claimed (-) is unknown and satisfies nothing.

{claims}

What is allowed: the number is the order of attempts, x a refusal. What stands outside a use case's pools is left empty.

{decisions}
"""


def written() -> str:
    """Both tables of the example's estate, with everything configured and running."""
    estate, surroundings, columns = acme()
    return TABLES.format(
        claims=aligned(claims(estate, surroundings, columns)),
        decisions=aligned(decisions(estate, surroundings, columns)),
    )


def acme() -> tuple[Estate, Surroundings, list[str]]:
    """The estate, what it is compiled against, and its deployments in the order of the patterns."""
    estate = load(ACME).estate
    engines = {name for name, one in estate.deployments.items() if one.engine is not None}
    surroundings = Surroundings(
        vendors=load_vendors(),
        profiles=load_profiles(),
        resolve=lambda reference: ("http://10.0.0.7", "") if reference.startswith("env:") else (reference, ""),
        addresses={name: Address(url="http://127.0.0.1:4001", key="k") for name in engines},
    )
    columns = [name for pattern in Pattern for name, one in estate.deployments.items() if one.pattern is pattern]
    return estate, surroundings, columns


def claims(estate: Estate, surroundings: Surroundings, columns: Sequence[str]) -> list[list[str]]:
    held = {name: trace(estate, name, surroundings.vendors, NOW) for name in columns}

    def cell(name: str, control: str) -> str:
        return " & ".join(f"{write(one.claim.value)} {MARKS[one.claim.basis]}" for one in held[name].get(control, ()))

    patterns = ["", *(estate.deployments[name].pattern.value for name in columns)]
    rows = [[control, *(cell(name, control) or "-" for name in columns)] for control in CONTROLS]
    return [patterns, ["control", *columns], *rows]


def decisions(estate: Estate, surroundings: Surroundings, columns: Sequence[str]) -> list[list[str]]:
    table = [["use case", "data class", *columns]]
    classes = list(estate.data_classes)
    for name, use_case in estate.use_cases.items():
        for data_class in classes[classes.index(use_case.data_class) :]:
            explanation = explain(estate, surroundings, Question(name, NOW, data_class))
            rows = {row.deployment: row for row in explanation.rows}
            first = name if data_class == use_case.data_class else ""
            table.append([first, data_class, *(mark(rows[column]) for column in columns)])
    return table


def mark(row: Row) -> str:
    if row.pool is None:
        return ""
    return str(row.order) if row.order else "x"


def aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


if __name__ == "__main__":
    sys.stdout.write(written())
