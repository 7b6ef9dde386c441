"""`trunkline top`: what a running exchange does at the moment."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from trunkline.app.applied import load_applied
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data
from trunkline.cli.output import Column, Page, console, print_json
from trunkline.cli.rates import Look, Rate, rates, read, total
from trunkline.cli.trial_rates import ArmRate, trial_rates
from trunkline.errors import TrunklineError, Unstartable
from trunkline.estate.estate import Estate
from trunkline.store.folder import DataFolder

WITHIN = 5.0
STYLES = {"ready": "green", "open": "bold red", "half_open": "yellow", "paused": "yellow", "down": "bold red"}

app = typer.Typer(add_completion=False, help="Watch a running exchange: pools, health, rates, money per minute.")

Every = Annotated[float, typer.Option("--every", min=0.2, max=60, help="Seconds between two looks.")]
Once = Annotated[bool, typer.Option("--once", help="Print one picture and end.")]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="TRUNKLINE_URL", help="Where it listens.", show_default="the data folder's"),
]

_DEPLOYMENTS = (
    Column("pool", rank=3),
    Column("deployment"),
    Column("state"),
    Column("calls/s", number=True),
    Column("failed/s", rank=1, number=True),
    Column("under way", rank=2, number=True),
    Column("first byte", rank=4, number=True),
    Column("tokens/s", rank=5, number=True),
    Column("money/min", number=True),
)
_OTHERS = (
    Column("use case"),
    Column("calls/s", number=True),
    Column("failed/s", rank=1, number=True),
    Column("tokens/s", rank=2, number=True),
    Column("money/min", number=True),
)
_TRIALS = (
    Column("use case", rank=5),
    Column("trial"),
    Column("arm"),
    Column("share", rank=4, number=True),
    Column("calls/s", number=True),
    Column("failed/s", rank=1, number=True),
    Column("left out/s", rank=2, number=True),
    Column("first byte", rank=3, number=True),
    Column("money/min", number=True),
)


@app.command()
def top(
    *, data: Data = DEFAULT_DATA, url: Url = None, every: Every = 2.0, once: Once = False, as_json: AsJson = False
) -> None:
    """Watch it at work: pools, health, rates, money per minute.

    It goes on until Ctrl-C; with `--once` or `--json`, it prints what happened within one span and ends.
    """
    folder = data.expanduser()
    where = url.rstrip("/") if url else _where(DataFolder(folder))
    estate = None
    with suppress(TrunklineError):
        estate = load_applied(folder).estate
    before = _look(where)
    if once or as_json:
        time.sleep(every)
        now = _look(where)
        if as_json:
            print_json([msgspec.to_builtins(one) | _pool(estate, one.name) for one in rates(before, now, "deployment")])
        else:
            console().print(picture(before, now, estate, console().width))
        return
    shown = console()
    with suppress(KeyboardInterrupt), Live(console=shown, screen=shown.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            now = _look(where)
            live.update(picture(before, now, estate, shown.width), refresh=True)
            before = now


def picture(before: Look, now: Look, estate: Estate | None, width: int) -> RenderableType:
    """Return what happened between two looks as tables."""
    deployments, use_cases = rates(before, now, "deployment"), rates(before, now, "use_case")
    money = sum(one.money for one in use_cases)
    head = Text.assemble(
        ("Trunkline  ", "bold cyan"),
        f"{sum(one.calls for one in use_cases):.1f} calls/s   {total(now, 'trunkline_in_flight'):.0f} in flight   "
        f"{total(now, 'trunkline_upstream_waiting_calls'):.0f} waiting   "
        f"{total(now, 'trunkline_connections'):.0f} connections   {money:.4f} {estate.currency if estate else ''}/min",
    )
    order = {name: place for place, name in enumerate(estate.deployments)} if estate else {}
    rows = [_deployment(estate, one) for one in sorted(deployments, key=lambda one: order.get(one.name, 0))]
    tables: list[RenderableType] = [head, Text()]
    if rows:
        tables += [Page(_DEPLOYMENTS, width).more(rows), Text()]
    if use_cases:
        tables.append(Page(_OTHERS, width).more([[one.name, *_numbers(one)] for one in use_cases]))
    if estate is not None and (trials := [_trial(one) for one in trial_rates(before, now, estate)]):
        tables += [Text(), Page(_TRIALS, width).more(trials)]
    return Group(*tables)


def _trial(one: ArmRate) -> list[str | Text]:
    calls, failed, _, money = _numbers(one.rate)
    first_byte = "" if one.rate.first_byte is None else f"{one.rate.first_byte * 1_000:.0f} ms"
    left_out = f"{one.left_out:.1f}" if one.left_out else ""
    return [one.use_case, one.trial, one.arm, f"{one.share:.0%}", calls, failed, left_out, first_byte, money]


def _deployment(estate: Estate | None, one: Rate) -> list[str | Text]:
    calls, failed, tokens, money = _numbers(one)
    first_byte = "" if one.first_byte is None else f"{one.first_byte * 1_000:.0f} ms"
    state = Text(one.state.replace("_", " "), style=STYLES.get(one.state, "dim"))
    pools = ", ".join(_pool(estate, one.name)["pools"])
    return [pools, one.name, state, calls, failed, str(one.outstanding), first_byte, tokens, money]


def _numbers(one: Rate) -> list[str]:
    return [f"{one.calls:.1f}", f"{one.failed:.1f}" if one.failed else "", f"{one.tokens:.0f}", f"{one.money:.4f}"]


def _pool(estate: Estate | None, deployment: str) -> dict[str, Any]:
    pools = estate.pools if estate else {}
    return {"pools": [name for name, pool in pools.items() if any(deployment in tier for tier in pool.tiers)]}


def _where(folder: DataFolder) -> str:
    holder = folder.holder()
    if holder is None or not holder.port:
        raise Unstartable(f"no exchange runs on {folder.path}; start one, or say where with --url")
    return f"http://{holder.host}:{holder.port}"


def _look(url: str) -> Look:
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=WITHIN) as answer:  # noqa: S310 - the operator's own address
            return read(answer.read().decode(), time.monotonic())
    except (OSError, urllib.error.URLError, ValueError) as fault:
        raise Unstartable(
            f"{url}/metrics cannot be read: {fault}; if it serves HTTPS, say --url https://..."
        ) from fault
