"""Alert rules speak of metrics that exist, and each has its runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from trunkline.observability.families import FAMILIES

METRIC = re.compile(r"\btrunkline_\w+")
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
def rules(root: Path) -> list[dict[str, Any]]:
    read = YAML(typ="safe").load((root / "deploy/prometheus/alerts.yaml").read_text("utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def test_every_metric_of_a_rule_exists(rules: list[dict[str, Any]]) -> None:
    known = {family.name + suffix for family in FAMILIES for suffix in SUFFIXES}
    assert {name for rule in rules for name in METRIC.findall(rule["expr"])} - known == set()


def test_every_alert_has_a_runbook_that_names_it(root: Path, rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        page = (root / rule["annotations"]["runbook"]).read_text("utf-8")
        assert rule["alert"] in page
        assert "## What to do" in page


def test_every_runbook_has_its_alert(root: Path, rules: list[dict[str, Any]]) -> None:
    pages = {page.relative_to(root).as_posix() for page in (root / "docs/guides/runbooks").glob("*.md")}
    assert pages - {rule["annotations"]["runbook"] for rule in rules} == {"docs/guides/runbooks/README.md"}


def test_every_label_that_a_summary_shows_is_one_of_the_rules_metrics(rules: list[dict[str, Any]]) -> None:
    labels = {name for family in FAMILIES for name in family.labels}
    for rule in rules:
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels
