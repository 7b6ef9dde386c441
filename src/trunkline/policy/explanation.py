"""What is told of a use case under a data class, deployment by deployment."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime

import msgspec

from trunkline.catalog.controls import ControlValue
from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Evidence
from trunkline.estate.decisions import Decision
from trunkline.estate.deployments import Pattern
from trunkline.messages import Operation
from trunkline.policy.failover import apart
from trunkline.policy.keeping import Kept
from trunkline.policy.satisfy import FAR
from trunkline.policy.sources import Source


class Check(msgspec.Struct, frozen=True):
    """One rule held against one deployment.

    Attributes:
        control: what the rule is about; None for a rule about something else, such as patterns or pools.
        claim: what it was held against, in words.
        value: of the claim; like all that follows None where there is no claim.
        would_allow: what would have to be done; empty where the rule is met.
        hangs_on: what of a call the rule has to know before it is decided; met so far.
        at: where the rule stands in the estate; empty where it stands in no one place.
    """

    rule: str
    met: bool
    claim: str
    would_allow: str = ""
    control: str | None = None
    value: ControlValue | None = None
    basis: Basis | None = None
    evidence: Evidence | None = None
    verified_at: datetime | None = None
    verified_by: str | None = None
    expires: datetime | None = None
    source: Source | None = None
    hangs_on: tuple[str, ...] = ()
    at: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """One deployment.

    Attributes:
        pool: the first of the use case's pools that it stands in, with its tier; None outside them.
        order: which attempt it would be, from 1; None where it would be none.
        missing: why it cannot be called; empty where it can.
        apart: why no call goes there although it is allowed and can be called; empty where one may.
        checks: every rule held against it, in order.
    """

    deployment: str
    pattern: Pattern
    boundary: str
    model: str
    operations: tuple[Operation, ...]
    pool: str | None
    tier: int | None
    order: int | None
    allowed: bool
    missing: str
    checks: tuple[Check, ...]
    apart: str = ""

    @property
    def configured(self) -> bool:
        """Whether it can be called at all."""
        return not self.missing

    @property
    def hangs_on(self) -> tuple[str, ...]:
        """What of a call has to be known before it is sure to be allowed; empty for one that is refused anyway."""
        return tuple(dict.fromkeys(name for check in self.checks for name in check.hangs_on)) if self.allowed else ()

    @property
    def telling(self) -> Check | None:
        """The check that tells most: the first that fails, else the one whose claim expires first."""
        failed = next((check for check in self.checks if not check.met), None)
        if failed is not None or not self.checks:
            return failed
        dated = [check for check in self.checks if check.expires is not None]
        return min(dated, key=_expiry) if dated else self.checks[0]


class Explanation(msgspec.Struct, frozen=True):
    """A use case under a data class, deployment by deployment.

    Attributes:
        own_class: the use case's own data class.
        closed: why the use case answers nobody, whatever its deployments; empty where it answers.
        kept: who keeps its answers, for how long, and why not.
    """

    use_case: str
    owner: str
    own_class: str
    data_class: str
    closed: str
    rows: tuple[Row, ...]
    kept: Kept = Kept()

    @property
    def allowed(self) -> bool:
        """Whether some deployment is allowed, be it configured or not."""
        return not self.closed and any(row.allowed for row in self.rows)


def numbered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Number attempts anew: a row is one that is allowed, can be called and does not stand apart."""
    count = itertools.count(1)
    return tuple(
        msgspec.structs.replace(row, order=next(count) if row.allowed and row.configured and not row.apart else None)
        for row in rows
    )


def _expiry(check: Check) -> int:
    return as_nanos(check.expires) if check.expires is not None else FAR


def reasons_apart(decision: Decision) -> dict[str, str]:
    """By deployment that is allowed and can be called, why no call goes there all the same."""
    first = decision.tiers[0][0].exactly if decision.tiers else "an engine that is starting"
    return {
        one.deployment: f"{one.exactly} does not stand in for {first}: use case {decision.use_case} does not name it "
        "in `substitutes`"
        for one in apart(decision)
    }


def denials_by_deployment(decision: Decision) -> dict[str, dict[str, str]]:
    """By deployment that policy refuses, each rule it breaks with the claim that was held against it."""
    found: dict[str, dict[str, str]] = {}
    for denial in decision.denials:
        found.setdefault(denial.deployment, {})[denial.rule] = denial.claim
    return found
