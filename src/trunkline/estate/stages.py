"""The stage types of a request's path.

    Asked (messages) -> Permitted -> Attempt

A `Permitted` is made by `policy.permit` alone, an `Attempt` only out of a `Permitted`, and sending takes nothing but
an `Attempt`: a request that policy has not seen cannot reach an upstream. `tests/rules` holds this against the code.
"""

from __future__ import annotations

import msgspec

from trunkline.estate.decisions import Decision
from trunkline.estate.endpoints import Endpoint
from trunkline.messages import Asked, Usage
from trunkline.money import Nano
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Times


class Permitted(msgspec.Struct, frozen=True):
    """A request that policy allows, with the decision that says where it may go and what is sent otherwise."""

    caller: Caller
    asked: Asked
    decision: Decision
    note: str = ""
    rewrites: tuple[Rewrite, ...] = ()


class Rewrite(msgspec.Struct, frozen=True):
    """A field of the request that is sent with another value, or not at all.

    Attributes:
        value: the JSON to send; None leaves the field out.
        why: in a few words, for the ledger.
        deployments: where it is sent so; None for everywhere.
    """

    field: str
    value: bytes | None
    why: str
    deployments: frozenset[str] | None = None

    def holds_at(self, deployment: str) -> bool:
        """Whether it is sent so to this deployment."""
        return self.deployments is None or deployment in self.deployments

    def __str__(self) -> str:
        done = f"dropped {self.field}" if self.value is None else f"set {self.field}={self.value.decode()}"
        return f"{done} ({self.why})"


class Attempt(msgspec.Struct, frozen=True):
    """One try at one allowed endpoint.

    Attributes:
        bound: the most tokens that it can use.
        hold: what they cost.
        reason: why this endpoint at this point, in words.
        times: how long it may take: the endpoint's, or less where the caller waits no longer.
        wait: seconds to let pass before it is sent.
    """

    permitted: Permitted
    endpoint: Endpoint
    number: int
    bound: Usage
    hold: Nano
    reason: str
    times: Times
    wait: float = 0.0
