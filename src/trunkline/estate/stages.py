"""The compiled estate and the stage types of a request's path.

    Asked (messages) -> Permitted -> Attempt

A `Permitted` is made by `policy.permit` alone, an `Attempt` only out of a `Permitted`, and sending takes nothing but
an `Attempt`: a request that policy has not seen cannot reach an upstream. `tests/rules` holds this against the code.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline.estate.deployments import Pattern
from trunkline.messages import Asked, Operation, Usage
from trunkline.money import Nano, Pico
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Origin, Times


class UnitPrice(msgspec.Struct, frozen=True):
    """What one token of each kind costs, in the estate's currency, and the version of the price that says so.

    `known` is false where neither the estate nor the bundled price table has a price: the call counts as zero and
    says so.
    """

    input: Pico = Pico(0)
    output: Pico = Pico(0)
    cache_read: Pico = Pico(0)
    cache_write: Pico = Pico(0)
    version: str = ""
    known: bool = True


class Address(msgspec.Struct, frozen=True):
    """Where an engine that the exchange runs listens at the moment, and the key it takes."""

    url: str
    key: str


class Endpoint(msgspec.Struct, frozen=True):
    """A deployment, compiled: all that is needed to call it.

    Attributes:
        base_path: what stands before the dialect's own paths, such as `/v1`; without a trailing slash.
        headers: ready header lines, each ended by CR LF: the host, and the credentials.
        output_bound: the most tokens one answer can have where the caller sets no limit.
        engine: whether the exchange runs it itself, so that missing may mean restarting.
        missing: why the deployment is not configured; empty when it can be called.
        operations: what its model can be asked to do; a model that nothing is known of is taken to do all.
    """

    deployment: str
    pattern: Pattern
    boundary: str
    model: str
    upstream_model: str
    dialect: str
    origin: Origin
    base_path: str
    headers: bytes
    price: UnitPrice
    times: Times
    context_length: int | None = None
    output_bound: int = 16_384
    missing: str = ""
    operations: tuple[Operation, ...] = tuple(Operation)
    engine: bool = False


class Denial(msgspec.Struct, frozen=True):
    """Why policy refuses a deployment: the rule, the claim it was held against, and the claim's source and date.

    A deployment that breaks several rules has a denial for each, in the order of the rules.
    """

    deployment: str
    rule: str
    claim: str


class Decision(msgspec.Struct, frozen=True):
    """What policy decided for one use case under one data class.

    Attributes:
        tiers: the allowed and configured endpoints, in the order of the use case's pools and their tiers.
        denials: the deployments that policy refuses.
        unconfigured: the deployments that policy allows but that cannot be called.
    """

    use_case: str
    owner: str
    data_class: str
    tiers: tuple[tuple[Endpoint, ...], ...]
    denials: tuple[Denial, ...] = ()
    unconfigured: tuple[Endpoint, ...] = ()
    instructions: str | None = None

    @property
    def endpoints(self) -> Iterator[Endpoint]:
        """All allowed endpoints in order."""
        for tier in self.tiers:
            yield from tier


class Offer(msgspec.Struct, frozen=True):
    """A use case as a caller meets it, or one of its direct models: one decision per data class it may be raised to.

    Attributes:
        decisions: over all deployments, whatever their models do, by data class.
        by_operation: the same over those that can do the operation; none of an operation that no deployment does.
    """

    name: str
    use_case: str
    data_class: str
    decisions: dict[str, Decision]
    by_operation: dict[Operation, dict[str, Decision]] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """The compiled estate: a request costs lookups.

    Attributes:
        version: names the estate's content.
        classes: data classes, loosest first.
        offers: for each unit, what it may name in `model`.
        cost_centres: for each unit.
        good_until: when the first claim in it expires, in nanoseconds since 1970; then it must be compiled again.
        key_offers: for each key (or group) that an audience names, what that adds.
        owners: for each use case on offer, the unit to ask.
        direct: for each use case, the models that may be named by themselves under it.
        warnings: what the operator should know of this estate.
    """

    version: str
    currency: str
    root: str
    classes: tuple[str, ...]
    offers: dict[str, dict[str, Offer]]
    cost_centres: dict[str, str]
    endpoints: dict[str, Endpoint]
    good_until: int
    key_offers: dict[str, dict[str, Offer]] = {}
    owners: dict[str, str] = {}
    direct: dict[str, dict[str, Offer]] = {}
    warnings: tuple[str, ...] = ()


class Permitted(msgspec.Struct, frozen=True):
    """A request that policy allows, with the decision that says where it may go."""

    caller: Caller
    asked: Asked
    decision: Decision
    note: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """One try at one allowed endpoint. `bound` is the most tokens that it can use, `hold` what they cost."""

    permitted: Permitted
    endpoint: Endpoint
    number: int
    bound: Usage
    hold: Nano
    reason: str
