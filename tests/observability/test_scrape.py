from __future__ import annotations

from pathlib import Path

from trunkline.observability.families import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_reference_page_lists_every_metric_as_the_code_has_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference()
