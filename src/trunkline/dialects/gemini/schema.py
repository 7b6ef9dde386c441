"""Google's schemas as JSON Schema. Source: Gemini API reference, "Schema" (a subset of OpenAPI 3.0's schema object)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.gemini.proto import camel
from trunkline.errors import Malformed

WHOLE: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Numbers of 64 bits, which protocol buffers write as texts."""
SCHEMAS: Final = frozenset({"items", "additionalProperties"})
LISTS: Final = frozenset({"anyOf", "prefixItems"})
NAMED: Final = frozenset({"properties", "$defs", "defs"})
LEFT: Final = ("nullable", "propertyOrdering")
"""What is told otherwise, and what JSON Schema cannot tell: in which order properties come."""
NAMES: Final = {"defs": "$defs", "ref": "$ref", "example": "examples"}
DEPTH: Final = 200
"""Schemas within schemas beyond which nobody goes."""


def as_json_schema(raw: msgspec.Raw, where: str) -> msgspec.Raw:
    """Return the same schema as JSON Schema: types in small letters, `nullable` as a type of its own.

    Raises:
        Malformed: it is no schema.
    """
    schema = msgspec.json.decode(raw)
    if not isinstance(schema, dict):
        raise Malformed(f"`{where}` must be an object.", code="invalid_type", param=where)
    return msgspec.Raw(msgspec.json.encode(_schema(schema, where, DEPTH)))


def _schema(schema: Any, where: str, deeper: int) -> Any:
    if not isinstance(schema, dict):
        return schema
    if not deeper:
        raise Malformed(f"`{where}` is nested too deeply to be read.", code="nested_too_deeply", param=where)
    written = {
        NAMES.get(spelled, spelled): _value(spelled, value, where, deeper - 1)
        for name, value in schema.items()
        if (spelled := camel(name)) not in LEFT and value != "TYPE_UNSPECIFIED"
    }
    return _nullable(written) if schema.get("nullable") is True else written


def _value(name: str, value: Any, where: str, deeper: int) -> Any:
    if name in SCHEMAS:
        return _schema(value, where, deeper)
    if name in LISTS and isinstance(value, list):
        return [_schema(one, where, deeper) for one in value]
    if name in NAMED and isinstance(value, dict):
        return {key: _schema(one, where, deeper) for key, one in value.items()}
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name == "example":
        return [value]
    return int(value) if name in WHOLE and isinstance(value, str) and value.isdecimal() else value


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if not isinstance(kind, str):
        return {"anyOf": [schema, {"type": "null"}]}
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
    return schema | {"type": [kind, "null"]}
