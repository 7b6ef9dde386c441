from __future__ import annotations

from pathlib import Path

from trunkline.estate.load import load

EXAMPLE = Path(__file__).parent / "example.yaml"


def test_the_whole_example_loads_without_a_fault() -> None:
    loaded = load(EXAMPLE)

    assert loaded.estate.root == "acme"
    assert list(loaded.estate.data_classes) == ["public", "internal", "confidential", "restricted"]
    assert loaded.files == (EXAMPLE,)
