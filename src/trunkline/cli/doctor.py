from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from trunkline.cli.data_folder import examine_folder
from trunkline.cli.estate_file import examine_estate
from trunkline.cli.findings import Finding, Verdict
from trunkline.cli.machine import examine_machine
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, EstateFile, Host, Port, StoreUrl
from trunkline.cli.output import console, print_json

app = typer.Typer(add_completion=False)

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@app.command()
def doctor(
    *,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    estate: EstateFile = None,
    host: Host = "127.0.0.1",
    port: Port = 8440,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with this machine or data folder. Exit code 1 where something fails."""
    now = datetime.now(UTC)
    path = data.expanduser().absolute()
    folder = examine_folder(path, now, store)
    findings = (
        *examine_machine(host, port, folder.held_by, now),
        *folder.findings,
        examine_estate(estate, path),
    )
    if as_json:
        print_json([msgspec.to_builtins(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.verdict is Verdict.FAIL for finding in findings):
        raise typer.Exit(1)


def _show(findings: tuple[Finding, ...]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.verdict, style=_STYLES[finding.verdict]), finding.about, Text(finding.says))
        if finding.do:
            table.add_row("", "", Text(finding.do, style="bold"))
    console().print(table)
