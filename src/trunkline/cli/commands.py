"""The list of commands: what `trunkline --help` shows, and the module that each one lives in."""

from __future__ import annotations

import msgspec

RUN = "Run an exchange"
ASK = "Ask it"
KEEP = "Look after it"


class Listed(msgspec.Struct, frozen=True):
    """A command or a group of commands. Its module holds it as the `typer.Typer` named `app`."""

    name: str
    module: str
    summary: str
    panel: str


COMMANDS = (
    Listed("up", "trunkline.cli.up", "Start the exchange.", RUN),
    Listed("check", "trunkline.cli.check", "Check an estate: all its faults at once, or what it declares.", RUN),
    Listed("diff", "trunkline.cli.diff", "Say which decisions change from one estate to another.", RUN),
    Listed("schema", "trunkline.cli.schema", "Print the JSON Schema of the estate file, for editors.", RUN),
    Listed("key", "trunkline.cli.key", "Make, list, rotate and revoke keys.", RUN),
    Listed("explain", "trunkline.cli.explain", "Say of every deployment whether a use case may use it, and why.", ASK),
    Listed("claims", "trunkline.cli.claims", "List what deployments claim and until when; verify claims anew.", KEEP),
    Listed("chat", "trunkline.cli.chat", "Talk to the exchange in the terminal.", ASK),
    Listed("ledger", "trunkline.cli.ledger", "Read, check and correct the ledger.", ASK),
    Listed("trials", "trunkline.cli.trials", "Compare the arms of splits, and copies with their originals.", ASK),
    Listed("top", "trunkline.cli.top", "Watch it at work: pools, health, rates, money per minute.", ASK),
    Listed("budget", "trunkline.cli.budget", "Say how budgets stand; raise one for a while.", KEEP),
    Listed("kept", "trunkline.cli.kept", "Say what is kept of conversations; erase it.", KEEP),
    Listed("doctor", "trunkline.cli.doctor", "Say what is wrong with this machine or data folder.", KEEP),
    Listed("backup", "trunkline.cli.backup", "Copy the data folder, while an exchange runs on it or not.", KEEP),
    Listed("restore", "trunkline.cli.restore", "Put a copy back into a data folder on which no exchange runs.", KEEP),
    Listed("engine", "trunkline.cli.engine", "Install the embedded engine's parts, or say what is there.", KEEP),
    Listed("version", "trunkline.cli.version", "Print the version.", KEEP),
)
