from __future__ import annotations

import getpass
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.text import Text

from trunkline.catalog.controls import CONTROLS, ControlValue, ValueKind
from trunkline.cli.considered import Considered, consider
from trunkline.cli.held_claims import claim_json, claims_table, version_json, versions_table
from trunkline.cli.moments import ahead
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, EstateFile, StoreUrl
from trunkline.cli.output import console, print_json
from trunkline.clock import as_datetime
from trunkline.config.faults import nearest
from trunkline.errors import Unstartable
from trunkline.estate.claims import Basis, Claim, Evidence
from trunkline.estate.zones import Zones, known_zones
from trunkline.policy.sources import Sourced, trace
from trunkline.policy.verified import UNKNOWN, ClaimStore, Version, Weight, overlay, weigh

A_YEAR = timedelta(days=365)

app = typer.Typer(add_completion=False, help="List what deployments claim and until when; verify claims anew.")

ClaimName = Annotated[str, typer.Argument(metavar="DEPLOYMENT.CONTROL", help="Such as gpt-reserved.training_use.")]
Value = Annotated[
    str | None, typer.Option("--value", help="What is true; lists with commas.", show_default="as the file says")
]
BasisOption = Annotated[
    Basis | None, typer.Option("--basis", help="What it rests on.", show_default="as the file says")
]
EvidenceOption = Annotated[
    str, typer.Option("--evidence", metavar="TITLE|REFERENCE|QUOTE", help="Where it can be looked up; a title will do.")
]
Document = Annotated[
    Path | None,
    typer.Option(
        "--document",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="The evidence itself: its SHA-256 is kept with the title.",
        show_default=False,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires",
        help="A span such as `180d`, a date (its end counts), or a time.",
        show_default="as long as the file's claim, else a year",
    ),
]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who verified it.", show_default="your login")]


@app.callback(invoke_without_command=True)
def claims(
    context: typer.Context,
    *,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    estate: EstateFile = None,
    as_json: AsJson = False,
) -> None:
    """List what deployments claim and until when; verify claims anew."""
    if context.invoked_subcommand is None:
        list_claims(data=data, store=store, estate=estate, as_json=as_json)


@app.command("list")
def list_claims(
    *, data: Data = DEFAULT_DATA, store: StoreUrl = None, estate: EstateFile = None, as_json: AsJson = False
) -> None:
    """List every claim that counts: value, basis, where it comes from, age, expiry."""
    with consider(data, estate, store) as considered:
        found = considered.sourced()
        void = considered.overlaid.void
        now = considered.now
    if as_json:
        print_json([claim_json(one, now) for one in found])
        return
    shown = console()
    shown.print(claims_table(found, now, shown.width) if found else "no deployment claims anything")
    for one in void:
        name = f"{one.version.deployment}.{one.version.control}"
        shown.print(Text(f"version {one.version.number} of {name} has no effect: {one.why}", style="yellow"))


@app.command()
def verify(  # noqa: PLR0913 - one for each option
    claim: ClaimName,
    *,
    evidence: EvidenceOption,
    document: Document = None,
    value: Value = None,
    basis: BasisOption = None,
    expires: Expires = None,
    by: By = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Record that a claim was verified anew: a dated version, kept beside all before it.

    It may renew what the estate's file declares or tighten it. What would loosen policy needs the file, and is refused.
    A running exchange takes it over within seconds.
    """
    with consider(data, None, store) as considered:
        deployment, control = _split(considered, claim)
        before = _before(considered, deployment, control)
        fresh = Claim(
            value=_value(control, value, known_zones(considered.estate.zones))
            if value is not None
            else _said(before, claim).value,
            basis=basis if basis is not None else _said(before, claim).basis,
            evidence=_evidence(evidence, document),
            verified_at=as_datetime(considered.now),
            verified_by=by if by is not None else getpass.getuser(),
            expires=_expiry(considered, before, expires),
        )
        vendors = considered.surroundings.vendors
        weighed = weigh(considered.loaded.estate, vendors, deployment, control, fresh, considered.now)
        if weighed.weight is Weight.LOOSENS:
            raise Unstartable(
                f"{claim} is not recorded, because it would loosen policy: {weighed.why}. A version may only renew or "
                "tighten what the estate's file declares. Write it into the file, with its evidence, and apply that"
            )
        version = _store(considered).record_claim(deployment, control, fresh, considered.now)
    if as_json:
        print_json(version_json(version, "yes"))
    else:
        until = "" if fresh.expires is None else f", until {fresh.expires.date().isoformat()}"
        console().print(f"version {version.number} of {claim} is recorded: it {weighed.weight} the claim{until}")


@app.command()
def history(claim: ClaimName, *, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List every version of a claim, oldest first; version 0 is what the estate's file, or the vendor, says."""
    with consider(data, None, store) as considered:
        rows = _history(considered, *_split(considered, claim, gone=True))
    if as_json:
        print_json([version_json(version, in_force) for version, in_force in rows])
    elif rows:
        shown = console()
        shown.print(versions_table(rows, shown.width))
    else:
        console().print(f"nothing was ever claimed under {claim}")


def _history(considered: Considered, deployment: str, control: str) -> list[tuple[Version, str]]:
    kept = [
        version
        for version in _store(considered).claim_versions()
        if (version.deployment, version.control) == (deployment, control)
    ]
    overlaid = overlay(considered.loaded.estate, considered.surroundings.vendors, kept)
    void = {one.version.number: one.why for one in overlaid.void}
    newest = kept[-1].number if kept else 0
    rows: list[tuple[Version, str]] = []
    if (before := _before(considered, deployment, control)) is not None:
        base = Version(deployment, control, 0, before.claim, 0)
        rows.append((base, f"no: version {newest}" if overlaid.verified else "yes"))
    for version in kept:
        later = f"no: version {newest}" if version.number != newest else "yes"
        rows.append((version, f"no: {void[version.number]}" if version.number in void else later))
    return rows


def _split(considered: Considered, claim: str, *, gone: bool = False) -> tuple[str, str]:
    """Take a claim's name apart; with `gone` a deployment may be one that the estate no longer has."""
    deployment, dot, control = claim.rpartition(".")
    if not dot:
        raise typer.BadParameter(f"{claim!r} is not DEPLOYMENT.CONTROL", param_hint="DEPLOYMENT.CONTROL")
    deployments = considered.estate.deployments
    if deployment not in deployments and not gone:
        raise _unknown("deployment", deployment, tuple(deployments))
    if control not in CONTROLS:
        raise _unknown("control", control, tuple(CONTROLS))
    return deployment, control


def _unknown(what: str, name: str, names: tuple[str, ...]) -> typer.BadParameter:
    near = nearest(name, names)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(names)}"
    return typer.BadParameter(f"there is no {what} {name!r}: {hint}", param_hint="DEPLOYMENT.CONTROL")


def _before(considered: Considered, deployment: str, control: str) -> Sourced | None:
    """What counts without any version: the file's claim, or else what the vendor or the exchange says."""
    estate = considered.loaded.estate
    if deployment not in estate.deployments:
        return None
    held = trace(estate, deployment, considered.surroundings.vendors, considered.now).get(control, ())
    return held[0] if held else None


def _said(before: Sourced | None, claim: str) -> Claim:
    if before is None:
        raise typer.BadParameter(f"nothing is claimed of {claim} yet: give --value and --basis")
    return before.claim


def _store(considered: Considered) -> ClaimStore:
    if considered.claims is None:
        raise Unstartable("versions of claims are kept in a data folder: give it with --data")
    return considered.claims


def _value(control: str, text: str, zones: Zones) -> ControlValue:
    """Read a value as the control has it."""
    known, text = CONTROLS[control], text.strip()
    if text == UNKNOWN:
        return UNKNOWN
    if known.kind is ValueKind.FLAG:
        _among(control, text, ("true", "false"))
        return text == "true"
    if known.kind is ValueKind.DAYS and text.isdecimal():
        return int(text)
    if known.kind in (ValueKind.DAYS, ValueKind.WORD):
        _among(control, text, known.words)
        return text
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise typer.BadParameter(f"{control} wants at least one word", param_hint="--value")
    for word in words if known.kind is ValueKind.ZONES else ():
        if word != UNKNOWN and word not in zones.names:
            near = nearest(word, zones.names)
            hint = f": did you mean {near}?" if near else ""
            raise typer.BadParameter(f"there is no zone {word!r}{hint}", param_hint="--value")
    return words[0] if len(words) == 1 else words


def _among(control: str, text: str, words: tuple[str, ...]) -> None:
    if text not in words:
        number = "a number of days, " if CONTROLS[control].kind is ValueKind.DAYS else ""
        known = ", ".join((*words, UNKNOWN))
        raise typer.BadParameter(f"{control} is {number}{known}, not {text!r}", param_hint="--value")


def _evidence(text: str, document: Path | None) -> Evidence:
    title, reference, quote = (part.strip() for part in (*text.split("|", 2), "", "")[:3])
    if not title:
        raise typer.BadParameter("evidence needs a title: TITLE, TITLE|REFERENCE or TITLE|REFERENCE|QUOTE")
    digest = None if document is None else hashlib.sha256(document.read_bytes()).hexdigest()
    return Evidence(title, reference or None, quote or None, digest)


def _expiry(considered: Considered, before: Sourced | None, expires: str | None) -> datetime:
    """The moment given, or as far ahead as the claim before was good for."""
    now = as_datetime(considered.now)
    if expires is not None:
        try:
            return as_datetime(ahead(expires, datetime.now(UTC), ZoneInfo(considered.estate.time_zone)))
        except ValueError as wrong:
            raise typer.BadParameter(str(wrong), param_hint="--expires") from None
    held = before.claim if before is not None else None
    if held is not None and held.verified_at is not None and held.expires is not None:
        return now + (held.expires - held.verified_at)
    return now + A_YEAR
