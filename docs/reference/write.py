"""Writes the reference pages that the code can write itself: `make docs`. The tests hold the pages against it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import typer

from trunkline.cli.commands import COMMANDS

HERE = Path(__file__).parent
Schema = dict[str, Any]


def written() -> dict[str, str]:
    """Each page by its file name."""
    schema = msgspec.json.decode((HERE / "estate.schema.json").read_bytes())
    return {"cli.md": commands_page(), "estate.md": estate_page(schema)}


def commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "Exit codes: 0 done, 1 the answer is no, 2 wrong usage. A variable in the last column stands for the option where the",
        "option is not given. `trunkline COMMAND --help` says the same in the terminal.",
    ]
    for listed in COMMANDS:
        command = typer.main.get_command(importlib.import_module(listed.module).app)
        lines += command_lines(f"trunkline {listed.name}", command, 2)
    return "\n".join(lines) + "\n"


def command_lines(name: str, command: click.Command, level: int) -> Iterator[str]:
    usage = " ".join([name, *command.collect_usage_pieces(click.Context(command, info_name=name))])
    yield from ("", f"{'#' * level} {name}", "", plain(command.help), "", "```text", usage, "```")
    options = [row for parameter in command.params if (row := parameter_row(parameter))]
    if options:
        yield from ("", "| option | meaning | default | variable |", "| --- | --- | --- | --- |", *options)
    if isinstance(command, click.Group):
        for under, subcommand in command.commands.items():
            yield from command_lines(f"{name} {under}", subcommand, level + 1)


def parameter_row(parameter: click.Parameter) -> str | None:
    if getattr(parameter, "hidden", False):
        return None
    if isinstance(parameter, click.Option):
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        value = "" if parameter.is_flag else f" {parameter.metavar or parameter.type.name.upper()}"
    else:
        names, value = f"`{(parameter.metavar or parameter.name or '').upper()}`", ""
    default = shown_default(parameter)
    variable = f"`{parameter.envvar}`" if parameter.envvar else ""
    return f"| {names}{value} | {cell(getattr(parameter, 'help', None))} | {default} | {variable} |"


def shown_default(parameter: click.Parameter) -> str:
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return cell(shown)
    if parameter.required:
        return "must be given"
    if parameter.default in (None, False, (), []) or callable(parameter.default):
        return ""
    return f"`{parameter.default}`"


def estate_page(schema: Schema) -> str:
    lines = [
        "# The estate file, field by field",
        "",
        "What the [JSON Schema](estate.schema.json) says, as a page. [The guide](../guides/estate.md) tells how the parts work together.",
        "Fields in bold must be given.",
    ]
    definitions: Schema = schema.get("$defs", {})
    top = resolve(schema, definitions)
    lines += object_lines("The file", top, 2)
    for name, definition in sorted(definitions.items()):
        if definition.get("properties") and definition is not top:
            lines += object_lines(name, definition, 2)
        elif "enum" in definition:
            values = ", ".join(f"`{value}`" for value in definition["enum"])
            lines += ["", f"## {name}", "", plain(definition.get("description")), "", f"One of {values}."]
    return "\n".join(lines) + "\n"


def resolve(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else schema


def object_lines(name: str, schema: Schema, level: int) -> Iterator[str]:
    yield from ("", f"{'#' * level} {name}", "", plain(schema.get("description")), "")
    yield from ("| field | value | default |", "| --- | --- | --- |")
    required = schema.get("required", [])
    for field, value in schema["properties"].items():
        shown = f"**`{field}`**" if field in required else f"`{field}`"
        default = f"`{msgspec.json.encode(value['default']).decode()}`" if value.get("default") not in (None, [], {}) else ""
        note = plain(value.get("description")).replace("\n", " ")
        yield f"| {shown} | {kind(value)}{': ' + note if note else ''} | {default} |"


def kind(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{re.sub(r'[^a-z0-9_-]', '', name.lower())})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for combined in ("anyOf", "oneOf"):
        if combined in schema:
            kinds = [kind(one) for one in schema[combined] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    types = schema.get("type", "anything")
    if types == "array":
        return f"list of {kind(schema.get('items') or schema.get('prefixItems', [{}])[0])}"
    if types == "object":
        values = schema.get("additionalProperties")
        return f"names to {kind(values)}" if isinstance(values, dict) else "mapping"
    return types if isinstance(types, str) else " or ".join(one for one in types if one != "null")


def plain(text: str | None) -> str:
    """A docstring as Markdown: without its indentation, `Attributes:` as a list."""
    lines = [line.strip() for line in (text or "").replace("\f", "").strip().splitlines()]
    return "\n".join(lines)


def cell(text: str | None) -> str:
    return plain(text).replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    for page, content in written().items():
        (HERE / page).write_text(content, "utf-8")
