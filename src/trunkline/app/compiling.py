from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from trunkline.catalog.profile import load_profiles
from trunkline.catalog.vendor import load_vendors
from trunkline.clock import Clock
from trunkline.config.environment import Environment, resolve
from trunkline.dialects.registry import DIALECTS
from trunkline.estate.estate import Estate
from trunkline.estate.stages import Address, Snapshot
from trunkline.metering.prices import price_deployments
from trunkline.policy.compile import compile_estate
from trunkline.policy.surroundings import Surroundings


class Compiler:
    """Compiles the applied estate with what is around it at the moment: references, prices, running engines."""

    def __init__(
        self,
        estate: Estate,
        environment: Environment,
        clock: Clock,
        addresses: Mapping[str, Address] = MappingProxyType({}),
    ) -> None:
        self._estate = estate
        self._environment = environment
        self._clock = clock
        self._surroundings = Surroundings(
            vendors=load_vendors(),
            profiles=load_profiles(),
            resolve=self._resolve,
            addresses=dict(addresses),
            dialects=frozenset(DIALECTS),
        )
        self._price()

    @property
    def addresses(self) -> dict[str, Address]:
        """Where the engines listen that run at the moment, by deployment."""
        return self._surroundings.addresses

    def engines_at(self, addresses: dict[str, Address]) -> None:
        """Note where all engines listen now."""
        self._surroundings = msgspec.structs.replace(self._surroundings, addresses=addresses)

    def engine_changed(self, deployment: str, address: Address | None) -> None:
        """Note where an engine listens now, or that it does not."""
        addresses = dict(self._surroundings.addresses)
        addresses.pop(deployment, None)
        if address is not None:
            addresses[deployment] = address
        self._surroundings = msgspec.structs.replace(self._surroundings, addresses=addresses)

    def compile(self) -> Snapshot:
        """Return the compiled estate of this moment."""
        return compile_estate(self._estate, self._surroundings, self._clock.now())

    def _price(self) -> None:
        # The bundled price table takes a while to load: it is asked only for what can be called.
        callable_now = {name for name, endpoint in self.compile().endpoints.items() if not endpoint.missing}
        prices = price_deployments(self._estate, self._surroundings.vendors, self._clock.now(), only=callable_now)
        self._surroundings = msgspec.structs.replace(self._surroundings, prices=prices)

    def _resolve(self, reference: str) -> tuple[str | None, str]:
        resolved = resolve(reference, self._environment)
        return resolved.value, resolved.why
