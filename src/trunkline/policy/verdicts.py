"""What the data classes have against each deployment, asked once for each and remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from trunkline.catalog.features import FEATURES
from trunkline.catalog.vendor import Vendor
from trunkline.estate.claims import Claim, Requirement
from trunkline.estate.decisions import Denial
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.estate import Estate
from trunkline.estate.zones import known_zones
from trunkline.messages import Operation
from trunkline.policy.claims import Claims, feature_claims, gather_claims
from trunkline.policy.satisfy import FAR, describe_claim, describe_requirement, next_change, satisfies

Operations = tuple[Operation, ...]


class Verdicts:
    """Holds deployments against data classes, by their place from the loosest.

    Attributes:
        good_until: when the first of the claims asked so far changes, in nanoseconds since 1970.
    """

    def __init__(self, estate: Estate, vendors: Mapping[str, Vendor], endpoints: dict[str, Endpoint], now: int) -> None:
        self._estate = estate
        self._vendors = vendors
        self._endpoints = endpoints
        self._now = now
        self._classes = tuple(estate.data_classes)
        self._zones = known_zones(estate.zones)
        self._claims: dict[tuple[str, Operations], Claims] = {}
        self._denials: dict[tuple[str, int, Operations], tuple[Denial, ...]] = {}
        self._terms: dict[tuple[object, ...], dict[str, Denial]] = {}
        self._marks: dict[str, tuple[object, ...]] = {}
        self.good_until = FAR

    def deny(self, deployment: str, index: int, operation: Operation | None) -> tuple[Denial, ...]:
        """Return what a class and all looser ones have against a deployment that is asked for an operation.

        Without one, a claim counts that holds for all that the deployment does.
        """
        return self._deny(deployment, index, self._asked(deployment, operation))

    def features(self, deployment: str, index: int, operation: Operation | None) -> dict[str, Denial]:
        """Return the features that a request must not use there under a class, each with the reason.

        Deployments that stand alike share one answer, so its denials name none.
        """
        operations = self._asked(deployment, operation)
        key = (*self._mark(deployment), index, operations)
        if key not in self._terms:
            looser = self.features(deployment, index - 1, operation) if index else {}
            self._terms[key] = dict(self._weigh_features(deployment, index, operations)) | looser
        return self._terms[key]

    def _asked(self, deployment: str, operation: Operation | None) -> Operations:
        # Only where a claim is for some operations alone does it matter which one is asked for.
        if not any(claim.applies_to.endpoints for claim in self._estate.deployments[deployment].controls.values()):
            return ()
        return self._endpoints[deployment].operations if operation is None else (operation,)

    def _deny(self, deployment: str, index: int, operations: Operations) -> tuple[Denial, ...]:
        key = (deployment, index, operations)
        if key not in self._denials:
            looser = self._deny(deployment, index - 1, operations) if index else ()
            requires = self._estate.data_classes[self._classes[index]].requires
            claims = self._gather(deployment, operations) if requires else {}
            own = self._weigh(index, requires, claims)
            self._denials[key] = (*looser, *(Denial(deployment, rule, claim) for rule, claim in own))
        return self._denials[key]

    def _gather(self, name: str, operations: Operations) -> Claims:
        key = (name, operations)
        if key not in self._claims:
            deployment = self._estate.deployments[name]
            boundary = self._estate.boundaries[deployment.boundary]
            vendor = self._vendors.get(boundary.provider)
            self._claims[key] = gather_claims(deployment, boundary, vendor, self._now, operations)
        return self._claims[key]

    def _weigh(
        self, index: int, requires: Mapping[str, Requirement], claims: Mapping[str, Collection[Claim]]
    ) -> Iterator[tuple[str, str]]:
        """Yield rule and claim for each requirement that the claims do not meet."""
        for control, requirement in requires.items():
            found = claims.get(control, ())
            for claim in found:
                self.good_until = min(self.good_until, next_change(claim, requirement, self._now))
            short = next(
                (claim for claim in found if not satisfies(control, claim, requirement, self._now, self._zones)), None
            )
            if short is not None or not found:
                rule = f"data class {self._classes[index]} requires {describe_requirement(control, requirement)}"
                yield rule, describe_claim(control, short, self._now)

    def _weigh_features(self, name: str, index: int, operations: Operations) -> Iterator[tuple[str, Denial]]:
        deployment = self._estate.deployments[name]
        boundary = self._estate.boundaries[deployment.boundary]
        vendor = self._vendors.get(boundary.provider)
        requires = self._estate.data_classes[self._classes[index]].requires
        for feature, entry in FEATURES.items():
            asked = {control: requires[control] for control in entry.questions if control in requires}
            if asked:
                claims = feature_claims(deployment, boundary, vendor, feature, operations)
                for rule, claim in self._weigh(index, asked, claims):
                    yield feature, Denial(deployment="", rule=rule, claim=f"with {feature}, {claim}")
                    break

    def _mark(self, name: str) -> tuple[object, ...]:
        """All that the answer on features hangs on, the same for deployments that stand alike."""
        if name not in self._marks:
            deployment = self._estate.deployments[name]
            boundary = self._estate.boundaries[deployment.boundary]
            own = tuple((control, claim) for control, claim in deployment.controls.items() if claim.applies_to.features)
            model = deployment.model if own else None
            self._marks[name] = (boundary.provider, boundary.region, deployment.engine is not None, model, own)
        return self._marks[name]
