"""The print at the start: what listens where, how each deployment stands, and what to paste to try it."""

from __future__ import annotations

from itertools import groupby
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

from trunkline import __version__
from trunkline.app.welcome import Standing, Welcome
from trunkline.estate.deployments import Pattern
from trunkline.observability.metrics import UpstreamState

_STYLES = {
    UpstreamState.READY: "green",
    UpstreamState.STARTING: "yellow",
    UpstreamState.NOT_CONFIGURED: "dim",
    UpstreamState.DOWN: "red",
}
_MARKS = {
    UpstreamState.READY: "●",
    UpstreamState.STARTING: "◐",
    UpstreamState.NOT_CONFIGURED: "○",
    UpstreamState.DOWN: "✕",
}
_PLAIN_MARKS = {
    UpstreamState.READY: "*",
    UpstreamState.STARTING: "~",
    UpstreamState.NOT_CONFIGURED: "-",
    UpstreamState.DOWN: "!",
}

_CURL = """\
curl -N {url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "stream": true,
       "messages": [{{"role": "user", "content": "Hello"}}]}}'"""

_PYTHON = """\
from openai import OpenAI

client = OpenAI(
    base_url="{url}/v1",
    api_key="{key}",
)
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)"""


class Greeter:
    """Shows the start on a console: a moving line on a terminal, plain lines elsewhere. Use it as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle()

    def progress(self, line: str) -> None:
        """Show what the start is waiting for."""
        if not self._console.is_terminal:
            self._console.print(Text(line), soft_wrap=True)
        elif self._status is None:
            self._status = self._console.status(Text(line, style="dim"), spinner="dots", spinner_style="cyan")
            self._status.start()
        else:
            self._status.update(Text(line, style="dim"))

    def welcome(self, welcome: Welcome) -> None:
        """Show that the exchange answers, and how to call it."""
        self._settle()
        greet(self._console, welcome)

    def _settle(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def greet(console: Console, welcome: Welcome) -> None:
    """Print the welcome. What is to be pasted stands flush left and is never wrapped."""
    console.print()
    console.print(Text.assemble(("  Trunkline ", "bold cyan"), (__version__, "cyan"), "  ", (welcome.estate, "bold")))
    console.print()
    console.print(Padding(_places(welcome), (0, 2), expand=False))
    console.print()
    console.print(Padding(deployments_table(console, welcome.deployments), (0, 2), expand=False))
    if welcome.notices:
        _heading(console, "declared, not in force in this version")
        console.print(Padding(notices(welcome.notices), (0, 2), expand=False))
    _key(console, welcome)
    _snippets(console, welcome)


def _places(welcome: Welcome) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("answers at", Text(f"{welcome.url}/v1", style="bold"))
    table.add_row("watch", f"{welcome.url}/readyz  {welcome.url}/metrics")
    table.add_row("data", str(welcome.data))
    return table


def deployments_table(console: Console, deployments: tuple[Standing, ...]) -> RenderableType:
    """Return the deployments by pattern, each with its state and the reason where it cannot be called."""
    marks = _MARKS if console.encoding.lower().startswith("utf") else _PLAIN_MARKS
    by_pattern = {
        pattern: tuple(each) for pattern, each in groupby(sorted(deployments, key=_place), lambda each: each.pattern)
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for pattern in Pattern:
        label: str = pattern
        for standing in by_pattern.get(pattern, ()):
            style = _STYLES[standing.state]
            name = Text.assemble((marks[standing.state], style), " ", (standing.deployment, _name_style(standing)))
            table.add_row(label, name, _said(standing))
            label = ""
        if label:
            table.add_row(label, Text("none declared", style="dim"), "")
    return table


def _place(standing: Standing) -> int:
    return tuple(Pattern).index(standing.pattern)


def _name_style(standing: Standing) -> str:
    return "dim" if standing.state is UpstreamState.NOT_CONFIGURED else "bold"


def _said(standing: Standing) -> Text:
    state = standing.state.replace("_", " ")
    said = Text(state, style=_STYLES[standing.state])
    if standing.reason:
        said.append(f": {standing.reason}", style="dim")
    return said


def notices(lines: tuple[str, ...]) -> RenderableType:
    """Return what is declared but not in force, one line each."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="yellow", no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row("-", line)
    return table


def _key(console: Console, welcome: Welcome) -> None:
    if welcome.key is not None:
        _heading(console, f"your first key, for the unit {welcome.root}: shown this once")
        _paste(console, welcome.key, "bold green")
        return
    _heading(console, "a key")
    _paste(console, f"export TRUNKLINE_KEY=$(trunkline key create --unit {welcome.root})")


def _snippets(console: Console, welcome: Welcome) -> None:
    key, python = welcome.key, _PYTHON
    if key is None:
        key = "$TRUNKLINE_KEY"
        python = "import os\n" + python.replace('"{key}"', 'os.environ["TRUNKLINE_KEY"]')
    for title, snippet in (("from a shell", _CURL), ("from Python", python)):
        _heading(console, title)
        _paste(console, snippet.format(url=welcome.url, key=key, model=welcome.model))
    console.print()
    console.print(
        "  [bold]trunkline chat[/] [dim]talks to it from another terminal; Ctrl-C stops it here[/]", highlight=False
    )
    console.print()


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Rule(Text(title), align="left", style="dim"), width=min(console.width, 80))


def _paste(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
