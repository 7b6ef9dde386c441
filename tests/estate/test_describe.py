from __future__ import annotations

from pathlib import Path

from trunkline.estate.describe import describe
from trunkline.estate.load import load


def test_a_summary_counts_what_is_declared() -> None:
    estate = load(Path(__file__).parent / "example.yaml").estate
    summary = describe(estate)

    assert summary.deployments == {
        "saas": ("gpt-saas",),
        "cloud_shared": ("gpt-payg", "mistral-cloud"),
        "cloud_private": ("gpt-reserved",),
        "self_managed": ("mistral-house", "smol", "minilm"),
    }
    assert (summary.units, summary.boundaries, summary.pools, summary.use_cases) == (9, 4, 4, 6)
    assert (summary.budgets, summary.limits, summary.root) == (3, 1, "acme")
    assert summary.version == estate.version
