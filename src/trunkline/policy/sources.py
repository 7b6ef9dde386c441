"""Where each claim comes from: the estate, a later verification, the vendor's pages, or the exchange itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum

import msgspec

from trunkline.catalog.vendor import Vendor
from trunkline.clock import as_nanos
from trunkline.estate.claims import Claim
from trunkline.estate.estate import Estate
from trunkline.messages import Operation
from trunkline.policy.claims import covers_model, gather_claims
from trunkline.policy.satisfy import DAY

ClaimId = tuple[str, str]
"""A deployment and one of its controls."""


SOON_DAYS = 30
"""A claim that expires within so many days is announced."""


class Source(StrEnum):
    """Who says it."""

    DECLARED = "declared"  # the estate's file
    VERIFIED = "verified"  # a later version in the store, which renews or tightens what the file or the vendor says
    PUBLISHED = "published"  # the vendor's own pages, as the catalogue has them
    ASSERTED = "asserted"  # the exchange, of an engine that it runs


class Sourced(msgspec.Struct, frozen=True):
    """A claim that counts for a deployment, and where it comes from."""

    deployment: str
    control: str
    claim: Claim
    source: Source

    @property
    def name(self) -> str:
        """`DEPLOYMENT.CONTROL`, as commands take it."""
        return f"{self.deployment}.{self.control}"

    def expires_in(self, now: int) -> int | None:
        """Nanoseconds until it expires, negative when it has; None when it never does."""
        return None if self.claim.expires is None else as_nanos(self.claim.expires) - now


def expiring(claims: Iterable[Sourced], now: int) -> tuple[Sourced, ...]:
    """Return the claims that have expired or will within SOON_DAYS, the first to expire first."""
    found = [(left, one) for one in claims if (left := one.expires_in(now)) is not None and left <= SOON_DAYS * DAY]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def trace(
    estate: Estate,
    deployment: str,
    vendors: dict[str, Vendor],
    now: int,
    verified: Collection[ClaimId] = (),
    operations: Collection[Operation] | None = None,
) -> dict[str, tuple[Sourced, ...]]:
    """Return the claims that count for a deployment by control; a requirement must be met by all of a control's.

    Args:
        estate: with later verifications laid over it.
        deployment: its name.
        vendors: by id.
        now: nanoseconds since 1970.
        verified: which claims of the estate are such verifications.
        operations: what is asked of the deployment, all of which a claim must hold for. Without, a claim for some
            operations alone stands first, before what counts for the others.
    """
    declared = estate.deployments[deployment]
    boundary = estate.boundaries[declared.boundary]
    vendor = vendors.get(boundary.provider)

    def source(control: str, claim: Claim) -> Source:
        if declared.controls.get(control) is claim:
            return Source.VERIFIED if (deployment, control) in verified else Source.DECLARED
        return Source.ASSERTED if declared.engine is not None else Source.PUBLISHED

    held = gather_claims(declared, boundary, vendor, now, operations or ())
    if operations is None:
        for control, claim in declared.controls.items():
            if claim.applies_to.endpoints and covers_model(claim, declared.model):
                held[control] = (claim, *held.get(control, ()))
    return {
        control: tuple(Sourced(deployment, control, claim, source(control, claim)) for claim in claims)
        for control, claims in held.items()
    }


def trace_all(
    estate: Estate, vendors: dict[str, Vendor], now: int, verified: Collection[ClaimId] = ()
) -> Iterator[Sourced]:
    """Yield every claim that counts, in the order of the estate."""
    for deployment in estate.deployments:
        for claims in trace(estate, deployment, vendors, now, verified).values():
            yield from claims
