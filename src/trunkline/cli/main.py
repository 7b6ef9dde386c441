"""The entry of the command `trunkline`.

Exit codes: 0 done, 1 the answer is no, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from trunkline.cli.commands import COMMANDS
from trunkline.errors import TrunklineError

_MODULES = {listed.name: listed.module for listed in COMMANDS}


class LazyGroup(TyperGroup):
    """Knows its commands by name and summary; loads the one that is called. The only place that imports by name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the called command, loaded, with its name and the arguments left for it."""
        name, listed, rest = super().resolve_command(ctx, args)
        if name is None or listed is None:
            return name, listed, rest
        loaded = typer.main.get_command(importlib.import_module(_MODULES[name]).app)
        loaded.name = name
        return name, loaded, rest


def build() -> typer.Typer:
    """Return the whole command."""
    app = typer.Typer(
        cls=LazyGroup,
        help="The exchange through which an organisation uses generative AI: one front door, one policy, one ledger.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nothing)
    for listed in COMMANDS:
        app.command(listed.name, help=listed.summary, rich_help_panel=listed.panel)(_nothing)
    return app


def _nothing() -> None:
    """Stand for a command until it is loaded."""


def run() -> None:
    """Run the command `trunkline`. What stops it is one message on standard error, without a traceback."""
    try:
        build()(prog_name="trunkline")
    except TrunklineError as stopped:
        sys.stderr.write(f"trunkline: {stopped.inside}\n")
        sys.exit(1)
