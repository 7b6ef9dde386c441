"""How the ledger's records stand in the columns of `attempts`, in the order of the schema."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from trunkline.estate.deployments import Pattern
from trunkline.ids import JournalId, RequestId
from trunkline.messages import Operation, Usage
from trunkline.metering.records import AttemptRow, Intent, Settlement, Status
from trunkline.money import Nano
from trunkline.store.schema import attempts

Values = tuple[Any, ...]

_names = tuple(column.name for column in attempts.c)
SETTLEMENT_NAMES = _names[_names.index("status") : _names.index("leases")]


def intent_values(journal: JournalId, intent: Intent) -> Values:
    """Return the columns that an intent fills."""
    return (
        intent.request,
        intent.attempt,
        intent.at,
        intent.key,
        intent.unit,
        intent.cost_centre,
        intent.use_case,
        intent.end_customer,
        intent.deployment,
        intent.boundary,
        str(intent.pattern),
        str(intent.operation),
        intent.model_asked,
        intent.model_sent,
        intent.stream,
        intent.data_class,
        intent.decision,
        intent.price_version,
        intent.currency,
        intent.hold,
        journal,
        intent.sequence,
    )


def lease_values(intent: Intent) -> Values:
    """Return the last columns: which leases the attempt was held in, which trial it belongs to, and whose it is."""
    return (" ".join(intent.leases) or None, intent.trial or None, intent.person)


def held_values(intent: Intent) -> Values:
    """Return the settlement's columns of an attempt that is open: its bound, estimated, at its hold."""
    return (Status.OPEN.value, None, 0, *_usage_values(intent.bound), True, intent.hold, "", None, None, "")


def settlement_values(settlement: Settlement) -> Values:
    """Return the columns that a settlement fills."""
    return (
        str(settlement.status),
        settlement.at,
        settlement.http_status,
        *_usage_values(settlement.usage),
        settlement.usage.estimated,
        settlement.cost,
        settlement.model_served,
        settlement.first_byte,
        settlement.latency,
        settlement.error,
    )


def attempt_row(row: Row[Any]) -> AttemptRow:
    """Return a row of `attempts` as the ledger's record."""
    return AttemptRow(
        request=RequestId(row.request),
        attempt=row.attempt,
        at=row.at,
        key=row.key,
        unit=row.unit,
        cost_centre=row.cost_centre,
        use_case=row.use_case,
        end_customer=row.end_customer,
        deployment=row.deployment,
        boundary=row.boundary,
        pattern=Pattern(row.pattern),
        operation=Operation(row.operation),
        model_asked=row.model_asked,
        model_sent=row.model_sent,
        model_served=row.model_served,
        stream=row.stream,
        data_class=row.data_class,
        decision=row.decision,
        price_version=row.price_version,
        currency=row.currency,
        hold=Nano(row.hold),
        usage=Usage(
            row.tokens_input,
            row.tokens_cached,
            row.tokens_cache_write,
            row.tokens_output,
            row.tokens_reasoning,
            row.estimated,
        ),
        cost=Nano(row.cost),
        status=Status(row.status),
        http_status=row.http_status,
        first_byte=row.first_byte,
        latency=row.latency,
        error=row.error,
        journal=JournalId(row.journal),
        trial=row.trial or "",
        person=row.person,
    )


def _usage_values(usage: Usage) -> Values:
    return (usage.input, usage.cached, usage.cache_write, usage.output, usage.reasoning)
