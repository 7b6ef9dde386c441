from __future__ import annotations

import json
from pathlib import Path

from trunkline.catalog.controls import CONTROLS
from trunkline.estate.schema import schema, write_schema

CHECKED_IN = Path(__file__).parents[2] / "docs" / "reference" / "estate.schema.json"


def test_the_schema_that_is_checked_in_is_the_one_of_the_structs() -> None:
    assert CHECKED_IN.read_text() == write_schema()


def test_an_example_points_editors_to_the_schema() -> None:
    example = CHECKED_IN.parents[2] / "examples" / "acme" / "estate.yaml"
    pointer = example.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")

    assert (example.parent / pointer).resolve() == CHECKED_IN.resolve()


def test_the_schema_takes_numbers_dates_and_short_forms_as_the_reader_does() -> None:
    text = json.dumps(schema())
    parts = schema()["$defs"]

    assert '"decimal"' not in text
    assert parts["Unit"]["anyOf"][0] == {"type": "string"}
    assert parts["Claim"]["properties"]["expires"]["anyOf"] == [{"format": "date"}, {"format": "date-time"}]
    assert list(parts["Deployment"]["properties"]["controls"]["properties"]) == list(CONTROLS)
    assert parts["Budget"]["properties"]["amount"] == {"exclusiveMinimum": 0, "type": "number"}
