"""An explanation as rows for programs and as a table for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from trunkline.config.faults import Place
from trunkline.policy.explanation import Check, Explanation, Row
from trunkline.policy.keeping import Kept

_TICK, _RING, _CROSS, _ARROW = "✓", "○", "✕", "→"
_PLAIN = {_TICK: "+", _RING: "o", _CROSS: "x", _ARROW: "->"}
_NOTHING = Check(rule="", met=True, claim="")
NARROW = 100
"""Below this width the pattern stands under the deployment, not beside it."""


Where = Callable[[tuple[str, ...]], Place]
"""Tells where something stands in the estate's files."""


def row_json(row: Row, where: Where, kept: Kept) -> dict[str, Any]:
    """Return one deployment: the verdict, the check that tells most, who keeps the use case's answers, every check."""
    return {
        "deployment": row.deployment,
        "pattern": row.pattern,
        "boundary": row.boundary,
        "model": row.model,
        "pool": row.pool,
        "tier": row.tier,
        "order": row.order,
        "allowed": row.allowed,
        "configured": row.configured,
        "missing": row.missing,
        "apart": row.apart,
        "depends_on": list(row.hangs_on),
        **_check_json(row.telling, where),
        "would_allow": _would_allow(row),
        "keeps": msgspec.to_builtins(kept),
        "checks": [{"met": check.met, **_check_json(check, where)} for check in row.checks],
    }


def _check_json(check: Check | None, where: Where) -> dict[str, Any]:
    """The fields of a check; all of them None where there is none."""
    if check is None:
        return dict.fromkeys(_check_json(_NOTHING, where))
    place = where(check.at) if check.at else None
    return {
        "rule": check.rule,
        "control": check.control,
        "claim": check.claim,
        "value": check.value,
        "basis": check.basis,
        "evidence": None if check.evidence is None else msgspec.to_builtins(check.evidence),
        "verified_at": moment(check.verified_at),
        "verified_by": check.verified_by,
        "expires": moment(check.expires),
        "source": check.source,
        "would_allow": check.would_allow or None,
        "hangs_on": list(check.hangs_on),
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
    }


def moment(when: datetime | None) -> str | None:
    """Write a date and time in UTC, as JSON takes it."""
    return None if when is None else when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _would_allow(row: Row) -> str | None:
    if row.allowed:
        return row.missing or row.apart or None
    return "; and ".join(check.would_allow for check in row.checks if not check.met)


def explanation_view(console: Console, explanation: Explanation, where: Where) -> RenderableType:
    """Return the whole table, one deployment below the other."""
    plain = not console.encoding.lower().startswith("utf")
    narrow = console.width < NARROW
    table = Table.grid(padding=(0, 2, 0, 0), expand=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    if not narrow:
        table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for row in explanation.rows:
        mark, style = _mark(row)
        name = Text(row.deployment, style="bold" if row.allowed and row.configured else "")
        first = [Text(_PLAIN[mark] if plain else mark, style=style), name]
        said = Text("\n").join(_said(row, where, plain=plain))
        if narrow:
            name.append(f"\n{row.pattern}", style="not bold dim")
        else:
            first.append(Text(row.pattern))
        table.add_row(*first, said)
    return table


def _mark(row: Row) -> tuple[str, str]:
    if not row.allowed:
        return _CROSS, "red"
    return (_TICK, "green") if row.configured and not row.apart else (_RING, "yellow")


def _said(row: Row, where: Where, *, plain: bool) -> list[Text]:
    """The verdict, and what it rests on: for a refusal the first broken rule, and all that would help."""
    arrow = _PLAIN[_ARROW] if plain else _ARROW
    if row.allowed:
        lines = [_allowed(row)]
        if row.missing:
            lines.append(Text(f"{arrow} {row.missing}", style="cyan"))
        if row.apart:
            lines.append(Text(f"{arrow} {row.apart}", style="cyan"))
        if (rests := _rests_on(row)) is not None:
            lines.append(rests)
        for check in row.checks:
            if check.hangs_on:
                lines.append(Text.assemble(f"unless {check.rule} refuses it", (f"  {where(check.at)}", "dim")))
                lines.append(Text(check.claim, style="dim"))
        return lines
    broken = [check for check in row.checks if not check.met]
    # What stands outside the pools is refused for that alone; how it would fare in them is in the JSON.
    shown = broken if row.pool is not None else broken[:1]
    lines = [Text("refused", style="red")]
    first, *others = shown
    lines += [
        Text.assemble(first.rule, (f"  {where(first.at)}" if first.at and first.control is None else "", "dim")),
        Text(f"but {first.claim}", style="dim"),
        *(Text(f"{arrow} {check.would_allow}", style="cyan") for check in (first, *others)),
    ]
    if left := len(broken) - len(shown):
        lines.append(Text(f"and {left} more rule{'s' if left > 1 else ''} would stand against it there", style="dim"))
    return lines


def _allowed(row: Row) -> Text:
    where = f"{row.pool}, tier {row.tier}"
    if not row.configured:
        return Text.assemble(("allowed, but not configured", "yellow"), (f"  {where}", "dim"))
    if row.apart:
        return Text.assemble(("allowed, but not tried", "yellow"), (f"  {where}", "dim"))
    return Text.assemble(
        ("allowed", "green"),
        (" depends on the request" if row.hangs_on else "", "yellow"),
        (f"  attempt {row.order}  {where}" if row.order else f"  {where}", "dim"),
    )


def _rests_on(row: Row) -> Text | None:
    telling = row.telling
    count = len({check.control for check in row.checks if check.control is not None})
    if telling is None or not count:
        return Text("the data class asks for nothing", style="dim")
    said = f"rests on {count} claim{'s' if count != 1 else ''}"
    if telling.expires is not None and count > 1:
        return Text(f"{said}, the first to expire: {telling.claim}", style="dim")
    return Text(f"{said}: {telling.claim}" if count == 1 else said, style="dim")
