from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from trunkline.cli.conversation import Conversation, NotAnswered
from trunkline.cli.flow import Flow
from trunkline.cli.folder import open_books
from trunkline.cli.options import DEFAULT_DATA, Data
from trunkline.errors import TrunklineError, Unstartable
from trunkline.metering.records import Status
from trunkline.money import bare

KEY_NAMES = ("TRUNKLINE_KEY", "TRUNKLINE_API_KEY", "TRUNKLINE_ADMIN_KEY")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SETTLED_WITHIN_SECONDS = 1.5
POLL_SECONDS = 0.05

_HELP = "/models  /model NAME  /clear  /quit;  Ctrl-C stops an answer"

app = typer.Typer(add_completion=False)

Model = Annotated[str, typer.Option("--model", "-m", envvar="TRUNKLINE_MODEL", help="A use case, or a direct model.")]
Url = Annotated[str, typer.Option("--url", envvar="TRUNKLINE_URL", help="Where the exchange listens.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", envvar=list(KEY_NAMES), help="The key to call with.", show_default="asked for", show_envvar=True
    ),
]


@app.command()
def chat(
    model: Model = "general-chat",
    url: Url = "http://127.0.0.1:8440",
    key: KeyOption = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Talk to the exchange in the terminal."""
    terminal = sys.stdin.isatty()
    if key is None:
        if not terminal:
            raise Unstartable(f"chat needs a key: set {KEY_NAMES[0]} or pass --key")
        key = typer.prompt("Key", hide_input=True)
    console = Console(highlight=False, emoji=False)
    session = Session(console, Conversation(url, key, model), data.expanduser())
    if terminal:
        console.print(f"[bold cyan]Trunkline[/] [dim]{session.conversation.url}  model {model}[/]\n[dim]{_HELP}[/]\n")
    raise typer.Exit(session.run(prompt="[bold]> [/]" if terminal else ""))


class Session:
    """One sitting: reads lines, obeys those that begin with `/`, sends the others."""

    def __init__(self, console: Console, conversation: Conversation, data: Path) -> None:
        self.conversation = conversation
        self._console = console
        self._data = data

    def run(self, prompt: str) -> int:
        """Go on until `/quit` or the end of the input. Return 1 where the last question was not answered, else 0."""
        answered = True
        while True:
            try:
                line = self._console.input(prompt).strip()
            except (EOFError, KeyboardInterrupt):
                if prompt:
                    self._console.print()
                return 0 if answered else 1
            if line in {"/quit", "/exit"}:
                return 0
            if line:
                answered = self._take(line)

    def _take(self, line: str) -> bool:
        try:
            if line.startswith("/"):
                self._obey(line)
            else:
                self._ask(line)
        except NotAnswered as refused:
            self._console.print(Text(refused.message, style="red"))
            return False
        return True

    def _obey(self, line: str) -> None:
        command, _, argument = line.partition(" ")
        if command == "/models":
            for name in self.conversation.models():
                mark = "*" if name == self.conversation.model else " "
                self._console.print(Text(f"{mark} {name}"))
        elif command == "/model" and argument.strip():
            self.conversation.model = argument.strip()
            self._console.print(Text(f"model {self.conversation.model}", style="dim"))
        elif command == "/clear":
            self.conversation.clear()
            self._console.print("[dim]forgotten[/]")
        else:
            self._console.print(Text(_HELP, style="dim"))

    def _ask(self, line: str) -> None:
        flow = Flow(self._console)
        pieces: list[str] = []
        said: list[str] = []
        try:
            with self.conversation.ask(line) as answer:
                said = [answer.deployment]
                for piece in answer:
                    pieces.append(piece)
                    flow.write(piece)
        except KeyboardInterrupt:
            said.append("stopped")
        finally:
            flow.end()
        self.conversation.remember(line, "".join(pieces))
        if pieces:
            said.append(self._cost(answer.request))
        self._console.print(Text("  ".join(part for part in said if part), style="dim"))

    def _cost(self, request: str) -> str:
        """What the answer cost, from the ledger of an exchange on this machine; empty where that cannot be read."""
        if self.conversation.host not in LOOPBACK or not request or not self._data.is_dir():
            return ""
        until = time.monotonic() + SETTLED_WITHIN_SECONDS
        with suppress(TrunklineError), open_books(self._data) as books:
            while time.monotonic() < until:
                rows = books.ledger.attempts(request)
                if rows and all(row.status is not Status.OPEN for row in rows):
                    tokens = sum(row.usage.input + row.usage.output for row in rows)
                    return f"{bare(sum(row.cost for row in rows))} {rows[0].currency} for {tokens} tokens"
                time.sleep(POLL_SECONDS)
        return ""
