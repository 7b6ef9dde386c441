"""What is declared but not in force in this version, and claims that have expired: said at start, never passed over.

`NOT_IN_FORCE` is the one list of it; a kind leaves the list with the change that puts it in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import msgspec

from trunkline.catalog.units import THROUGHPUTS
from trunkline.catalog.vendor import load_vendors
from trunkline.config.environment import kind_of_reference
from trunkline.estate.declared import Declared

Where = tuple[str | int, ...]
Find = Callable[[Declared], Iterator[Where]]


class Notice(msgspec.Struct, frozen=True):
    """One kind of thing that the operator should know of. `where` is the first of `count` places."""

    where: str
    message: str
    count: int = 1

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.where}: {self.message}{more}"


def announce(declared: Declared, now: datetime) -> tuple[Notice, ...]:
    """Return one notice per kind, in the order of the list; expired claims last."""
    notices = []
    for message, find in NOT_IN_FORCE:
        if found := list(find(declared)):
            notices.append(Notice(str(declared.place_of_name(*found[0])), message, len(found)))
    if found := list(_open_secrets(declared)):
        message = "credentials stand in the file itself, for all who read it; write env:NAME or file:PATH instead"
        notices.append(Notice(str(declared.place_of_name(*found[0])), message, len(found)))
    if expired := list(_expired(declared, now)):
        message = f"the claim has expired and satisfies nothing: {expired[0][1]} {expired[0][3]}"
        notices.append(Notice(str(declared.place(*expired[0], "expires")), message, len(expired)))
    return tuple(notices)


def _expired(declared: Declared, now: datetime) -> Iterator[tuple[str, str, str, str]]:
    for name, deployment in declared.deployments.items():
        for control, claim in deployment.controls.items():
            if claim.expires is not None and claim.expires <= now:
                yield ("deployments", name, "controls", control)


def _fields(section: str, *fields: str) -> Find:
    """Find where things of a section say something in one of `fields`."""

    def find(declared: Declared) -> Iterator[Where]:
        for name, thing in getattr(declared, section).items():
            for field in fields:
                if getattr(thing, field):
                    yield (section, name, field)

    return find


def _replicas(declared: Declared) -> Iterator[Where]:
    for name, deployment in declared.deployments.items():
        if deployment.capacity is not None and deployment.capacity.replicas is not None:
            yield ("deployments", name, "capacity", "replicas")


def _units(declared: Declared) -> Iterator[Where]:
    """Reserved units of which nobody says what they take."""
    for name, deployment in declared.deployments.items():
        capacity = deployment.capacity
        if capacity is None or capacity.ptu is None or deployment.model in THROUGHPUTS:
            continue
        if capacity.input_tpm is None or capacity.output_ratio is None:
            yield ("deployments", name, "capacity", "ptu")


def _fixed_prices(declared: Declared) -> Iterator[Where]:
    for name, deployment in declared.deployments.items():
        for field in ("per_hour", "people_per_month"):
            if deployment.price is not None and getattr(deployment.price, field) is not None:
                yield ("deployments", name, "price", field)


def _group_audiences(declared: Declared) -> Iterator[Where]:
    for name, use_case in declared.use_cases.items():
        for index, who in enumerate(use_case.audience):
            if who.startswith(("oidc:", "group:")):
                yield ("use_cases", name, "audience", index)


def _chains(declared: Declared) -> Iterator[Where]:
    taken = {chain for vendor in load_vendors().values() for chain in vendor.chains}
    for section, things in (("boundaries", declared.boundaries), ("deployments", declared.deployments)):
        for name, thing in things.items():
            named = thing.credentials
            if named is not None and kind_of_reference(named) == "chain" and named not in taken:
                yield (section, name, "credentials")


def _open_secrets(declared: Declared) -> Iterator[Where]:
    for section, things in (("boundaries", declared.boundaries), ("deployments", declared.deployments)):
        for name, thing in things.items():
            if thing.credentials is not None and kind_of_reference(thing.credentials) == "literal":
                yield (section, name, "credentials")
    for name, webhook in declared.webhooks.items():
        if kind_of_reference(webhook.secret) == "literal":
            yield ("webhooks", name, "secret")


NOT_IN_FORCE: Final[tuple[tuple[str, Find], ...]] = (
    ("replicas are not in force yet: nothing is scaled or held back by them", _replicas),
    (
        "units are not in force: what one takes of this model is not known; say `input_tpm` and `output_ratio`",
        _units,
    ),
    ("fixed costs are not charged back yet: calls count at the internal rate or per token", _fixed_prices),
    (
        "lending and shares of a pool are not in force yet: whoever may use it uses all of it",
        _fields("pools", "lend", "shares"),
    ),
    ("data sets are not in force yet: nothing is retrieved", _fields("use_cases", "data_sets")),
    ("guardrails are not in force yet: nothing is screened", _fields("use_cases", "guardrails")),
    ("groups in an audience are not in force yet: nobody is let in by one", _group_audiences),
    ("groups of a unit are not in force yet: nobody signs in by one", _fields("units", "groups")),
    ("this cloud's own credentials cannot be used yet: the deployment is not configured", _chains),
)
"""Each kind: what is not in force, and where it is declared."""
