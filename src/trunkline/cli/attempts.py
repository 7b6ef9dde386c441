"""Attempts of the ledger, as rows for programs and as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from trunkline.cli.decisions import in_words
from trunkline.cli.output import Column, Page, facts, money
from trunkline.clock import as_datetime, iso
from trunkline.metering.records import AttemptRow, Status
from trunkline.money import Nano, bare

_MILLISECOND = 1_000_000

_STYLES = {
    Status.OPEN: "yellow",
    Status.OK: "green",
    Status.REJECTED: "yellow",
    Status.FAILED: "red",
    Status.BROKEN: "red",
    Status.LEFT: "yellow",
    Status.LOST: "red",
}

_COLUMNS = (
    Column("time"),
    Column("request", rank=1),
    Column("unit", rank=5),
    Column("use case", rank=4),
    Column("deployment", rank=2),
    Column("status"),
    Column("in", rank=6, number=True),
    Column("out", rank=6, number=True),
    Column("cost", number=True),
    Column("ms", rank=3, number=True),
)


def attempt_json(row: AttemptRow) -> dict[str, Any]:
    """Return every field of a record; usage as `tokens_*`, durations in milliseconds, money as exact numbers."""
    return {
        "request_id": row.request,
        "attempt": row.attempt,
        "at": iso(row.at),
        "key": row.key,
        "unit": row.unit,
        "cost_centre": row.cost_centre,
        "use_case": row.use_case,
        "person": row.person,
        "end_customer": row.end_customer,
        "deployment": row.deployment,
        "boundary": row.boundary,
        "pattern": row.pattern,
        "operation": row.operation,
        "model_asked": row.model_asked,
        "model_sent": row.model_sent,
        "model_served": row.model_served,
        "stream": row.stream,
        "data_class": row.data_class,
        "decision": row.decision,
        "price_version": row.price_version,
        "currency": row.currency,
        "status": row.status,
        "http_status": row.http_status,
        "error": row.error,
        "cost": money(row.cost),
        "hold": money(row.hold),
        "estimated": row.usage.estimated,
        "tokens_input": row.usage.input,
        "tokens_cached": row.usage.cached,
        "tokens_cache_write": row.usage.cache_write,
        "tokens_output": row.usage.output,
        "tokens_reasoning": row.usage.reasoning,
        "latency_ms": _milliseconds(row.latency),
        "first_byte_ms": _milliseconds(row.first_byte),
        "journal": row.journal,
        "trial": row.trial or None,
    }


def call_json(rows: Sequence[AttemptRow]) -> dict[str, Any]:
    """Return one call: what its attempts share, the sum of their costs, and the attempts in order."""
    # Copies are no part of what the caller got.
    own = [row for row in rows if not row.is_copy] or rows
    first, last = own[0], own[-1]
    return {
        "request_id": first.request,
        "at": iso(first.at),
        "key": first.key,
        "unit": first.unit,
        "cost_centre": first.cost_centre,
        "use_case": first.use_case,
        "model_asked": first.model_asked,
        "data_class": first.data_class,
        "status": last.status,
        "currency": first.currency,
        "cost": money(_cost(own)),
        "attempts": [attempt_json(row) for row in rows],
    }


def attempts_page(width: int) -> Page:
    """Return an empty table of attempts; its rows are `attempt_cells`."""
    return Page(_COLUMNS, width)


def attempt_cells(row: AttemptRow) -> tuple[str | Text, ...]:
    """Return one attempt as a row of the table."""
    estimated = "~" if row.usage.estimated else ""
    return (
        f"{_local(row.at):%m-%d %H:%M:%S}",
        row.request,
        row.unit,
        row.use_case,
        row.deployment,
        _status(row),
        estimated + str(row.usage.input),
        estimated + str(row.usage.output),
        f"{bare(row.cost)} {row.currency}",
        str(row.latency // _MILLISECOND) if row.latency is not None else "",
    )


def call_view(rows: Sequence[AttemptRow]) -> RenderableType:
    """Return one call in full, attempt by attempt."""
    first = rows[0]
    words = in_words(first.decision)
    head = facts(
        {
            "request": Text(first.request, style="bold"),
            "at": _local(first.at).isoformat(sep=" ", timespec="milliseconds"),
            "caller": f"{first.key} of {first.unit} ({first.cost_centre})",
            "person": first.person or "",
            "end customer": first.end_customer or "",
            "use case": f"{first.use_case} {words.version}".strip(),
            "data class": f"{first.data_class}, {words.why}" if words.why else first.data_class,
            "model asked": first.model_asked,
            "decision": words.counts,
            "rewrites": "\n".join(words.rewrites),
            "note": "\n".join(words.notes),
            "cost": f"{bare(_cost([row for row in rows if not row.is_copy]))} {first.currency}",
        }
    )
    return Group(head, *(part for row in rows for part in (Text(), _attempt_view(row))))


def _attempt_view(row: AttemptRow) -> RenderableType:
    return facts(
        {
            f"attempt {row.attempt}": Text.assemble(
                (row.deployment, "bold"), f" ({row.pattern}, {row.boundary})  ", _status(row)
            ),
            "trial": row.trial,
            "why here": in_words(row.decision).reason,
            "model": row.model_sent + (f", served as {row.model_served}" if row.model_served else ""),
            "tokens": _tokens(row),
            "cost": f"{bare(row.cost)} {row.currency}, held {bare(row.hold)}, price {row.price_version or 'not known'}",
            "took": _took(row),
            "error": row.error,
        }
    )


def _status(row: AttemptRow) -> Text:
    shown = str(row.status)
    if row.http_status and row.status not in {Status.OK, Status.OPEN}:
        shown += f" {row.http_status}"
    return Text(shown, style=_STYLES[row.status])


def _tokens(row: AttemptRow) -> str:
    usage = row.usage
    parts = [f"{usage.input} in", f"{usage.output} out"]
    parts += [
        f"{count} {kind}"
        for kind, count in (
            ("cached", usage.cached),
            ("cache write", usage.cache_write),
            ("reasoning", usage.reasoning),
        )
        if count
    ]
    return ", ".join(parts) + (" (estimated)" if usage.estimated else "")


def _took(row: AttemptRow) -> str:
    if row.latency is None:
        return ""
    took = f"{row.latency // _MILLISECOND} ms"
    return took if row.first_byte is None else f"{took}, first byte after {row.first_byte // _MILLISECOND} ms"


def _cost(rows: Sequence[AttemptRow]) -> Nano:
    return Nano(sum(row.cost for row in rows))


def _milliseconds(nanos: int | None) -> float | None:
    return None if nanos is None else round(nanos / _MILLISECOND, 3)


def _local(nanos: int) -> datetime:
    return as_datetime(nanos).astimezone()
