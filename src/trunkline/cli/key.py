from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from trunkline.cli.declared import Declared, read_declared
from trunkline.cli.folder import Books, open_books
from trunkline.cli.keys import key_json, keys_table, state_of
from trunkline.cli.moments import ahead, span
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, EstateFile, StoreUrl
from trunkline.cli.output import console, print_json
from trunkline.clock import SystemClock, iso
from trunkline.config.faults import nearest
from trunkline.errors import Malformed, Unstartable
from trunkline.tenancy.keys import Key
from trunkline.tenancy.mint import Restrictions, mint
from trunkline.tenancy.rotate import revoke as revoked
from trunkline.tenancy.rotate import rotate as rotated

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Make, list, rotate and revoke keys.")

Unit = Annotated[str, typer.Option("--unit", help="The unit that the key stands for, and that pays.")]
UseCases = Annotated[
    list[str] | None,
    typer.Option("--use-case", help="Only this use case; give it again for more.", show_default="all of the unit's"),
]
Networks = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="CIDR", help="Only from this network; again for more.", show_default="anywhere"),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="A span such as `30d`, a date (its end counts), or a time.", show_default="never"),
]
Person = Annotated[
    str | None,
    typer.Option("--person", help="Whom it is issued to, as budgets name that person.", show_default="no one person"),
]
Label = Annotated[str, typer.Option("--label", help="What people call it.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `trunkline key list` shows it.")]
Grace = Annotated[str, typer.Option("--grace", help="How long the old one still works: `24h`, `30m`, `0s`.")]


@app.command()
def create(  # noqa: PLR0913 - one for each option
    *,
    unit: Unit,
    use_case: UseCases = None,
    networks: Networks = None,
    expires: Expires = None,
    label: Label = "",
    person: Person = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    estate: EstateFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: alone on standard output, this once."""
    with open_books(data, store, make=True) as books:
        declared = read_declared(books.folder.path, estate)
        use_cases = tuple(use_case or ())
        _check(declared, unit, use_cases)
        _check_person(declared, person)
        try:
            until = None if expires is None else ahead(expires, datetime.now(UTC), declared.zone)
            key, secret = mint(
                unit,
                pepper=books.pepper,
                now=SystemClock.now(),
                only=Restrictions(use_cases, tuple(networks or ()), until),
                label=label,
                person=person,
            )
        except (ValueError, Malformed) as wrong:
            raise typer.BadParameter(str(wrong)) from None
        books.keys.add(key)
    _hand_over(key, secret, as_json=as_json)


@app.command("list")
def list_keys(*, data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List all keys ever made, oldest first; of a key itself only its beginning is known."""
    with open_books(data, store) as books:
        keys = books.keys.all()
    now = SystemClock.now()
    if as_json:
        print_json([key_json(key, now) for key in keys])
    elif keys:
        shown = console()
        shown.print(keys_table(keys, now, shown.width))
    else:
        console().print("there are no keys")


@app.command()
def rotate(
    key_id: KeyId, *, grace: Grace = "24h", data: Data = DEFAULT_DATA, store: StoreUrl = None, as_json: AsJson = False
) -> None:
    """Make a key that replaces another, and print it; the old one goes on working for the grace period."""
    length = span(grace)
    if length is None:
        raise typer.BadParameter(f"{grace!r} is not a span such as `24h`, `30m` or `0s`", param_hint="--grace")
    with open_books(data, store) as books:
        rotation = rotated(
            _find(books, key_id),
            grace=length.total_seconds(),
            pepper=books.pepper,
            now=SystemClock.now(),
        )
        books.keys.add(rotation.new)
        books.keys.replace(rotation.old)
    if rotation.old.expires_at is not None:
        sys.stderr.write(f"{rotation.old.id} works until {iso(rotation.old.expires_at)}\n")
    _hand_over(rotation.new, rotation.secret, as_json=as_json)


@app.command()
def revoke(key_id: KeyId, *, data: Data = DEFAULT_DATA, store: StoreUrl = None) -> None:
    """End a key; a running exchange refuses it within a second."""
    with open_books(data, store) as books:
        key = _find(books, key_id)
        books.keys.replace(revoked(key, now=SystemClock.now()))
    console().print(f"{key.id} is revoked")


def _check(declared: Declared, unit: str, use_cases: tuple[str, ...]) -> None:
    """Hold names against the estate, where one is known. A name that it lacks is wrong usage."""
    if declared.estate is None:
        sys.stderr.write("trunkline: no estate is known here: unit and use cases are not checked (give --estate)\n")
        return
    _known(unit, "unit", tuple(declared.estate.units), "--unit")
    for use_case in use_cases:
        _known(use_case, "use case", tuple(declared.estate.use_cases), "--use-case")


def _check_person(declared: Declared, person: str | None) -> None:
    """Refuse a name that differs from one in the estate by capitals alone: nothing that it says would bind the key."""
    if declared.estate is None or person is None:
        return
    nodes = [*(one.on for one in declared.estate.budgets), *(one.on for one in declared.estate.limits)]
    for name in {node.person for node in nodes}:
        if name is not None and name != person.strip() and name.casefold() == person.strip().casefold():
            message = f"the estate has a budget or limit on {name!r}: names are compared to the letter"
            raise typer.BadParameter(message, param_hint="--person")


def _known(name: str, what: str, names: tuple[str, ...], option: str) -> None:
    if name not in names:
        near = nearest(name, names)
        hint = f"did you mean {near}?" if near else f"it has {', '.join(names)}"
        raise typer.BadParameter(f"the estate has no {what} {name!r}: {hint}", param_hint=option)


def _find(books: Books, key_id: str) -> Key:
    keys = books.keys.all()
    for key in keys:
        if key.id == key_id:
            return key
    near = nearest(key_id, [str(key.id) for key in keys])
    raise Unstartable(f"there is no key {key_id}: " + (f"did you mean {near}?" if near else "see `trunkline key list`"))


def _hand_over(key: Key, secret: str, *, as_json: bool) -> None:
    """Print the secret on standard output, alone, so that `$(...)` captures it; what belongs to it beside."""
    now = SystemClock.now()
    if as_json:
        print_json({"key": secret, **key_json(key, now)})
        return
    until = "" if key.expires_at is None else f", until {iso(key.expires_at)}"
    sys.stderr.write(f"{key.id} for {key.unit}{until}, {state_of(key, now)}; it is shown this once:\n")
    sys.stdout.write(secret + "\n")
