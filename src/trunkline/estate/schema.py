"""The estate's file as JSON Schema, for editors: derived from the structs that the reader goes by.

A schema cannot know which names are declared, so `check` finds more than an editor does.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline.catalog.controls import CONTROLS
from trunkline.config.environment import CHAINS
from trunkline.config.reader import short_forms
from trunkline.estate.declaration import Declaration

Schema = dict[str, Any]

_ROOT: Final = "Declaration"


def schema() -> Schema:
    """Return the JSON Schema of a file of the estate.

    Nothing is required at the top, for a file of a folder declares only a part; only such a file may carry `owner`.
    """
    _, parts = msgspec.json.schema_components((Declaration,), ref_template="#/$defs/{name}")
    parts = {name: _tidy(part) for name, part in parts.items()}
    for part, add in _ADDITIONS.items():
        add(parts[part]["properties"])
    for name, field in short_forms(Declaration).items():
        parts[name] = {"anyOf": [parts[name]["properties"][field], parts[name]]}
    parts["Node"] |= {"minProperties": 1, "maxProperties": 1}
    root = parts.pop(_ROOT)
    root.pop("required")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Trunkline estate"}
    return head | {name: value for name, value in root.items() if name != "title"} | {"$defs": parts}


def write_schema() -> str:
    """Return the schema as the text that is checked in."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(part: Any) -> Any:
    """Say what the reader takes: numbers for decimals, dates without a time; no empty defaults."""
    if isinstance(part, list):
        return [_tidy(each) for each in part]
    if not isinstance(part, dict):
        return part
    given = [each for each in part.get("anyOf", ()) if each != {"type": "null"}]
    if len(given) == 1:
        rest = {name: value for name, value in part.items() if name != "anyOf"}
        return _tidy(rest | given[0])
    tidy = {name: _tidy(value) for name, value in part.items() if name != "default" or _tells(value)}
    if given:
        tidy["anyOf"] = _tidy(given)
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(inspect.cleandoc(tidy["description"]).split())
    if tidy.get("format") == "decimal":
        del tidy["format"]
        tidy["type"] = "number"
    if tidy.get("format") == "date-time":
        del tidy["format"]
        tidy["anyOf"] = [{"format": "date"}, {"format": "date-time"}]
    return tidy


def _tells(default: Any) -> bool:
    return default not in (None, {}, []) and not isinstance(default, dict)


def _add_to_declaration(properties: Schema) -> None:
    rate = {
        "type": "object",
        "description": "How much of the estate's currency one unit of the other is worth, from a day on.",
        "properties": {"from": {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}},
        "patternProperties": {"^[A-Z]{3}$": {"type": "number", "exclusiveMinimum": 0}},
        "additionalProperties": False,
    }
    properties["exchange_rates"]["additionalProperties"] = {"anyOf": [rate, {"type": "array", "items": rate}]}
    properties["owner"] = {
        "type": "string",
        "description": "In a file of a folder: the unit that owns all that this file declares.",
    }


def _controls(field: str, struct: str) -> Callable[[Schema], None]:
    """List the controls there are in a mapping of claims or requirements."""

    def add(properties: Schema) -> None:
        properties[field] = {
            "type": "object",
            "properties": {
                name: {"$ref": f"#/$defs/{struct}", "description": _describe_control(name)} for name in CONTROLS
            },
            "additionalProperties": False,
        }

    return add


def _describe_control(name: str) -> str:
    control = CONTROLS[name]
    words = f": {', '.join(control.words)}" if control.words else ""
    return f"{control.meaning[0].upper()}{control.meaning[1:]} ({control.kind}{words})."


def _add_references(properties: Schema) -> None:
    chains = "|".join(sorted(CHAINS))
    properties["credentials"] |= {
        "pattern": f"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|{chains})$",
        "description": "env:NAME, file:PATH or a cloud's own chain; never the secret itself.",
    }


def _add_to_deployment(properties: Schema) -> None:
    _controls("controls", "Claim")(properties)
    _add_references(properties)


_ADDITIONS: Final[dict[str, Callable[[Schema], None]]] = {
    "Declaration": _add_to_declaration,
    "DataClass": _controls("requires", "Requirement"),
    "Deployment": _add_to_deployment,
    "Boundary": _add_references,
    "OwnStore": _controls("controls", "Claim"),
}
