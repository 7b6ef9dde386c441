"""Alert rules speak of metrics that exist, and each has its runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from trunkline.metering.records import Status
from trunkline.observability.families import FAMILIES
from trunkline.observability.metrics import Metrics, Readings
from trunkline.observability.scrape import render

SELECTOR = re.compile(r"\b(trunkline_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")
SUFFIXES: dict[type, tuple[str, ...]] = {
    CounterMetricFamily: ("_total",),
    GaugeMetricFamily: ("",),
    HistogramMetricFamily: ("_bucket", "_sum", "_count"),
}
SAMPLES = {family.name + suffix: family for family in FAMILIES for suffix in SUFFIXES[family.kind]}
STATUSES = frozenset(status.value for status in Status)


def labels_of(name: str) -> set[str]:
    """The labels of a sample."""
    return {*SAMPLES[name].labels, *(("le",) if name.endswith("_bucket") else ())}


def values_of(name: str, label: str) -> set[str]:
    """The values that a label can have, as far as they are ours: what the help names, and what the ledger keeps."""
    known = set(re.findall(r"`(\w+)`", SAMPLES[name].help))
    if label == "status":
        known |= STATUSES if "http_status" in SAMPLES[name].labels else {"5.."}
    return known | ({"true", "false"} if label == "stream" else set())


@pytest.fixture(scope="module")
def rules(root: Path) -> list[dict[str, Any]]:
    read = YAML(typ="safe").load((root / "deploy/prometheus/alerts.yaml").read_text("utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def test_what_a_rule_asks_for_is_there(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        selectors = SELECTOR.findall(rule["expr"])
        assert selectors, rule["alert"]
        known = set()
        for name, matchers in selectors:
            assert name in SAMPLES, f"{rule['alert']}: there is no {name}"
            known |= labels_of(name)
            for label, operator, value in MATCHER.findall(matchers):
                assert label in labels_of(name), f"{rule['alert']}: {name} has no label {label}"
                wanted = set(value.split("|") if operator in {"=~", "!~"} else [value])
                assert wanted <= values_of(name, label), f"{rule['alert']}: {label} of {name} is never {value}"
        grouped = {label.strip() for group in GROUPING.findall(rule["expr"]) for label in group.split(",")}
        assert grouped <= known, rule["alert"]


def test_what_is_exposed_has_the_names_that_rules_ask_for() -> None:
    metrics = Metrics("EUR", Readings())
    metrics.refused("not_permitted", 403)
    text = render(metrics, "")[0].decode()
    exposed = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert {name for name in exposed if name.startswith("trunkline_")} <= SAMPLES.keys()
    assert "trunkline_refusals_total" in exposed


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
