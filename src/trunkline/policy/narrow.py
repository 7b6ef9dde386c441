"""Brings an explanation to what one request asks for, and to what was decided of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline.estate.decisions import Decision
from trunkline.messages import Operation
from trunkline.policy.explanation import Check, Explanation, Row, denials_by_deployment, numbered, reasons_apart


def narrow(explanation: Explanation, operation: Operation, model: str | None = None) -> Explanation:
    """Keep to what one request asks for: an operation, and where it names a direct model that model alone."""
    rows: list[Row] = []
    for row in explanation.rows:
        against = tuple(_unasked(row, operation, model))
        allowed = row.allowed and not against
        # Who names a model asks for no other, so nothing of it stands apart.
        apart = "" if model is not None else row.apart
        rows.append(msgspec.structs.replace(row, allowed=allowed, checks=(*against, *row.checks), apart=apart))
    return msgspec.structs.replace(explanation, rows=numbered(rows))


def settle(explanation: Explanation, decision: Decision) -> Explanation:
    """Bring an explanation in line with what was decided of one request, which may be refused more."""
    order = {endpoint.deployment: place for place, endpoint in enumerate(decision.endpoints, start=1)}
    denials = denials_by_deployment(decision)
    left = reasons_apart(decision)
    rows: list[Row] = []
    for row in explanation.rows:
        if row.deployment in left:
            rows.append(msgspec.structs.replace(row, order=None, apart=left[row.deployment]))
            continue
        if not row.allowed or not row.configured or row.deployment in order:
            rows.append(msgspec.structs.replace(row, order=order.get(row.deployment), apart=""))
            continue
        known = {check.rule for check in row.checks}
        against = tuple(
            Check(rule=rule, met=False, claim=claim, would_allow="a request that does not ask for it")
            for rule, claim in denials.get(row.deployment, {}).items()
            if rule not in known
        )
        rows.append(msgspec.structs.replace(row, allowed=False, order=None, checks=(*against, *row.checks)))
    return msgspec.structs.replace(explanation, rows=tuple(rows))


def shut(explanation: Explanation) -> Explanation:
    """Refuse every deployment of a use case that is closed: what it could use then helps nobody."""
    if not explanation.closed:
        return explanation
    against = Check(
        rule=f"use case {explanation.use_case} answers those it is for",
        met=False,
        claim=explanation.closed,
        would_allow=f"ask unit {explanation.owner}, its owner",
    )
    rows = tuple(
        msgspec.structs.replace(row, allowed=False, order=None, checks=(against, *row.checks))
        for row in explanation.rows
    )
    return msgspec.structs.replace(explanation, rows=rows)


def _unasked(row: Row, operation: Operation, model: str | None) -> Iterator[Check]:
    if model is not None and row.model != model:
        yield Check(
            rule=f"the request names the model {model}",
            met=False,
            claim=f"its model is {row.model}",
            would_allow="name the use case instead of a model",
        )
    if operation not in row.operations:
        able = " and ".join(row.operations) or "nothing that is known"
        yield Check(
            rule=f"the request asks for {operation}",
            met=False,
            claim=f"its model does {able}",
            would_allow=f"a model that does {operation}; the estate says what a model does under `capabilities`",
        )
