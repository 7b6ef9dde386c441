"""Writes the reference pages that the code can write itself: `make docs`. The tests hold the pages against it."""

from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import typer

from trunkline.catalog.profile import Profile, load_profiles
from trunkline.cli.commands import COMMANDS
from trunkline.estate.claims import Basis
from trunkline.estate.deployments import Pattern
from trunkline.estate.use_cases import State

HERE = Path(__file__).parent
# A schema has the values of an enumeration in no order; the declaration has them in one that means something.
ENUMERATIONS: dict[str, list[str]] = {each.__name__: [*each] for each in (Basis, Pattern, State)}
Schema = dict[str, Any]
Command = Any  # the command line library keeps its types to itself
Parameter = Any


def written() -> dict[str, str]:
    """Each page by its file name."""
    schema = msgspec.json.decode((HERE / "estate.schema.json").read_bytes())
    return {
        "cli.md": commands_page(),
        "estate.md": estate_page(schema),
        "dialects.md": dialects_page(),
        "models.md": models_page(),
    }


def dialects_page() -> str:
    return "\n".join(runpy.run_path(str(HERE / "carried.py"))["lines"]()) + "\n"


def models_page() -> str:
    lines = [
        "# What is known of each model",
        "",
        "The catalogue's profiles, one file for each model. Routing asks them: a request goes to no model that",
        "cannot do what it asks for. A model that is not listed gets every request, and its provider refuses what",
        "it cannot do; what a deployment declares goes before what stands here. Nothing is counted by a",
        "tokeniser: `/v1/models` tells its name to callers who cut their prompts to size.",
        "",
        "| model | does | context | longest answer | can | refuses | tokeniser | read on | read where |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(model_row(one) for one in load_profiles().values())]) + "\n"


def model_row(profile: Profile) -> str:
    tokeniser = profile.tokeniser
    cells = (
        f"`{profile.model}`",
        ", ".join(profile.operations),
        f"{profile.context_length:,}" if profile.context_length else "",
        f"{profile.output_bound:,}" if profile.output_bound else "",
        ", ".join(f"`{one}`" for one in profile.features),
        ", ".join(f"`{one}`" for one in profile.refuses),
        f"`{tokeniser.name}` ({tokeniser.title})" if tokeniser else "",
        str(profile.verified or ""),
        cell(profile.source),
    )
    return f"| {' | '.join(cells)} |"


def commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "Exit codes: 0 done, 1 the answer is no, 2 wrong usage. A variable in the last column stands for the option",
        "where that is not given. `trunkline COMMAND --help` says the same in the terminal.",
    ]
    for listed in COMMANDS:
        command = typer.main.get_command(importlib.import_module(listed.module).app)
        lines += command_lines(f"trunkline {listed.name}", command, 2)
    return "\n".join(lines) + "\n"


def command_lines(name: str, command: Command, level: int) -> Iterator[str]:
    usage = " ".join([name, *command.collect_usage_pieces(typer.Context(command, info_name=name))])
    yield from ("", f"{'#' * level} {name}", "", plain(command.help), "", "```text", usage, "```")
    options = [row for parameter in command.params if (row := parameter_row(parameter))]
    if options:
        yield from ("", "| option | meaning | default | variable |", "| --- | --- | --- | --- |", *options)
    if hasattr(command, "commands"):
        for under, subcommand in command.commands.items():
            yield from command_lines(f"{name} {under}", subcommand, level + 1)


def parameter_row(parameter: Parameter) -> str | None:
    if getattr(parameter, "hidden", False) or parameter.name in {"install_completion", "show_completion"}:
        return None
    if parameter.param_type_name == "option":
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        value = "" if parameter.is_flag else f" {parameter.metavar or value_kind(parameter)}"
    else:
        names, value = f"`{(parameter.metavar or parameter.name or '').upper()}`", ""
    default = shown_default(parameter)
    variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []
    variable = ", ".join(f"`{name}`" for name in variables)
    return f"| {names}{value} | {cell(getattr(parameter, 'help', None))} | {default} | {variable} |"


def value_kind(parameter: Parameter) -> str:
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    return {int: "NUMBER", float: "NUMBER"}.get(annotation, "TEXT")


def shown_default(parameter: Parameter) -> str:
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return cell(shown)
    if parameter.required:
        return "must be given"
    if parameter.default in (None, False, "", (), []) or callable(parameter.default):
        return ""
    return f"`{parameter.default}`"


def estate_page(schema: Schema) -> str:
    lines = [
        "# The estate file, field by field",
        "",
        "What the [JSON Schema](estate.schema.json) says, as a page; [the guide](../guides/estate.md) tells how the",
        "parts work together. Fields in bold must be given.",
    ]
    definitions: Schema = schema.get("$defs", {})
    top = resolve(schema, definitions)
    lines += object_lines("The file", top, 2)
    for name, short_or_whole in sorted(definitions.items()):
        definition = whole(short_or_whole)
        if definition.get("properties") and definition is not top:
            lines += object_lines(name, definition, 2)
        elif "enum" in definition:
            values = ", ".join(f"`{value}`" for value in ENUMERATIONS.get(name) or definition["enum"])
            lines += ["", f"## {name}", "", plain(definition.get("description")), "", f"One of {values}."]
    lines += control_lines(definitions["Deployment"]["properties"]["controls"]["properties"])
    return "\n".join(lines) + "\n"


def control_lines(controls: Schema) -> Iterator[str]:
    yield from (
        "",
        "## Controls",
        "",
        "What deployments claim under `controls` and data classes ask for under `requires`.",
        "",
    )
    yield from ("| control | meaning |", "| --- | --- |")
    for name, control in controls.items():
        yield f"| `{name}` | {cell(control.get('description'))} |"


def whole(schema: Schema) -> Schema:
    """The long form of what may also be written short."""
    return next((form for form in schema.get("anyOf", []) if "properties" in form), schema)


def resolve(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    return definitions[reference.rsplit("/", 1)[-1]] if reference else schema


def object_lines(name: str, schema: Schema, level: int) -> Iterator[str]:
    yield from ("", f"{'#' * level} {name}", "", plain(schema.get("description")), "")
    yield from ("| field | value | default |", "| --- | --- | --- |")
    required = schema.get("required", [])
    for field, value in schema["properties"].items():
        shown = f"**`{field}`**" if field in required else f"`{field}`"
        given = value.get("default")
        default = "" if given in (None, [], {}) else f"`{msgspec.json.encode(given).decode()}`"
        note = cell(value.get("description"))
        yield f"| {shown} | {kind(value)}{': ' + note if note else ''} | {default} |"


def kind(schema: Schema) -> str:
    """What a value may be, in words."""
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        said = f"[{name}](#{re.sub(r'[^a-z0-9_-]', '', name.lower())})"
    elif "const" in schema or "enum" in schema:
        said = ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    elif alternatives:
        said = " or ".join(dict.fromkeys(kind(one) for one in alternatives if one.get("type") != "null"))
    elif schema.get("type") == "array":
        said = f"list of {kind(schema.get('items') or schema.get('prefixItems', [{}])[0])}"
    elif isinstance(schema.get("additionalProperties"), dict):
        said = f"names to {kind(schema['additionalProperties'])}"
    else:
        types = schema.get("type", "anything")
        types = "mapping" if types == "object" else types
        said = types if isinstance(types, str) else " or ".join(one for one in types if one != "null")
    return said


def plain(text: str | None) -> str:
    """A docstring as Markdown: without its indentation, `Attributes:` as a list."""
    lines = [line.strip() for line in (text or "").replace("\f", "").strip().splitlines()]
    return "\n".join(lines)


def cell(text: str | None) -> str:
    return plain(text).replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    for page, content in written().items():
        (HERE / page).write_text(content, "utf-8")
