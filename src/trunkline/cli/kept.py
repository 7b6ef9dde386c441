from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from trunkline.cli.folder import open_books
from trunkline.cli.moments import ago
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, StoreUrl
from trunkline.cli.output import Column, Page, console, counted, print_json
from trunkline.clock import iso
from trunkline.conversations.turns import Belonging, Held

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Say what is kept of conversations; erase it.")

COLUMNS: Final = (
    Column("unit"),
    Column("use case"),
    Column("turns", number=True),
    Column("conversations", number=True),
    Column("items", number=True),
    Column("bytes", number=True),
    Column("first", rank=2),
    Column("last", rank=1),
)

Unit = Annotated[str | None, typer.Option("--unit", help="Only of this unit.", show_default="all")]
UseCase = Annotated[str | None, typer.Option("--use-case", help="Only of this use case.", show_default="all")]
Key = Annotated[str | None, typer.Option("--key", metavar="ID", help="Only made with this key.", show_default="all")]
EndCustomer = Annotated[
    str | None, typer.Option("--end-customer", help="Only made for this end customer.", show_default="all")
]
Before = Annotated[
    str | None,
    typer.Option("--before", metavar="WHEN", help="Only what is older: `90d`, a date, or a time.", show_default="all"),
]
All = Annotated[bool, typer.Option("--all", help="Erase everything that is kept.")]


@app.command("list")
def list_held(
    *,
    unit: Unit = None,
    use_case: UseCase = None,
    key: Key = None,
    end_customer: EndCustomer = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say how many turns, conversations and their items are kept, by unit and use case; what they say is not shown."""
    with open_books(data, store) as books:
        held = books.turns.held_turns(Belonging(unit, use_case, key, end_customer))
    if as_json:
        print_json([_row(one) for one in held])
    elif held:
        shown = console()
        shown.print(Page(COLUMNS, shown.width).more([tuple(map(str, _row(one).values())) for one in held]))
    else:
        console().print("nothing is kept")


@app.command()
def erase(  # noqa: PLR0913 - one for each option
    *,
    unit: Unit = None,
    use_case: UseCase = None,
    key: Key = None,
    end_customer: EndCustomer = None,
    before: Before = None,
    everything: All = False,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Erase turns, conversations and their items that all given options fit, at once and for good."""
    whose = Belonging(unit, use_case, key, end_customer)
    if (whose == Belonging() and before is None) is not everything:
        raise typer.BadParameter("say which turns, or --all by itself", param_hint="--unit, --use-case, ...")
    try:
        until = None if before is None else ago(before, datetime.now(UTC))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--before") from None
    with open_books(data, store) as books:
        count = books.turns.erase_turns(whose, until)
        items = books.dialogues.erase_dialogues(whose, until)
    if as_json:
        print_json({"erased": count, "items": items})
    else:
        said = counted(count, "turn")
        said += f" and {counted(items, 'item')} of conversations" if items else ""
        console().print(f"{said} {'is' if (count, items) == (1, 0) else 'are'} erased")


def _row(held: Held) -> dict[str, object]:
    return {
        "unit": held.unit,
        "use_case": held.use_case,
        "turns": held.turns,
        "conversations": held.dialogues,
        "items": held.items,
        "bytes": held.bytes,
        "first": iso(held.first_at),
        "last": iso(held.last_at),
    }
