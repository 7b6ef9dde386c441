"""Rules that look at the caller or the request, in an explanation: decided as far as the call is known, else told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline.estate.estate import Estate
from trunkline.messages import Asked
from trunkline.policy.explanation import Check, Explanation, numbered
from trunkline.policy.rules import Pending, Rules, Values, of_request
from trunkline.tenancy.callers import Caller


def hold_call(
    explanation: Explanation, estate: Estate, caller: Caller | None = None, asked: Asked | None = None
) -> Explanation:
    """Hold the rules that were not decided ahead against each deployment, for what is known of a call."""
    rules = Rules(estate)
    call: Values = {
        **(rules.of_caller(caller) if caller is not None else {}),
        **(of_request(asked) if asked is not None else {}),
    }
    rows = []
    for row in explanation.rows:
        pending = rules.pending(row.deployment, explanation.use_case, explanation.data_class, call)
        found = tuple(_checks(pending))
        allowed = row.allowed and all(check.met for check in found)
        rows.append(msgspec.structs.replace(row, allowed=allowed, checks=tuple(_broken_first(found, row.checks))))
    return msgspec.structs.replace(explanation, rows=numbered(rows))


def _broken_first(found: tuple[Check, ...], checks: tuple[Check, ...]) -> Iterator[Check]:
    yield from (check for check in found if not check.met)
    yield from checks
    yield from (check for check in found if check.met)


def _checks(pending: Iterator[Pending]) -> Iterator[Check]:
    for one in pending:
        at = ("rules", one.name)
        if one.hangs_on:
            said = f"it depends on the request: `{one.when}` looks at {', '.join(one.hangs_on)}"
            yield Check(rule=one.words, met=True, claim=said, hangs_on=one.hangs_on, at=at)
        elif one.denial is None:
            yield Check(rule=one.words, met=True, claim=f"`{one.when}` does not refuse it", at=at)
        else:
            mend = f"another call, or the rule has to change: {one.words}"
            yield Check(rule=one.words, met=False, claim=one.denial.claim, would_allow=mend, at=at)
