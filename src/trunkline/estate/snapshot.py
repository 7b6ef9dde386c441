"""The compiled estate: what every unit may name, and what was decided of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trunkline.estate.decisions import Decision, Denial
from trunkline.estate.endpoints import Endpoint
from trunkline.messages import Asked, Operation
from trunkline.tenancy.callers import Caller

Narrow = Callable[[Decision, Caller, Asked], Decision]
"""Takes from a decision what operator rules refuse that look at the caller or the request."""


class Snapshot(msgspec.Struct, frozen=True):
    """The compiled estate: a request costs lookups.

    Attributes:
        version: names the estate's content.
        classes: data classes, loosest first.
        offers: for each unit, what it may name in `model`.
        cost_centres: for each unit.
        good_until: when the first claim in it expires or price changes, in nanoseconds since 1970; then it is to be
            compiled again.
        key_offers: for each key (or group) that an audience names, what that adds.
        owners: for each use case on offer, the unit to ask.
        direct: for each use case, the models that may be named by themselves under it.
        warnings: what the operator should know of this estate.
        retired: the use cases that are no longer on offer, by name.
        narrow: the operator rules that could not be decided ahead; None where there are none.
        stores: for each of the exchange's own stores and each data class, why content of it may not be held there.
        weights: of units that get more or less than others of what is short; one where none is given.
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
    retired: dict[str, Gone] = {}
    narrow: Narrow | None = None
    stores: dict[str, dict[str, tuple[Denial, ...]]] = {}
    weights: dict[str, int] = {}


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


class Gone(msgspec.Struct, frozen=True):
    """A use case that is retired, and what took its place."""

    owner: str
    successor: str | None = None
