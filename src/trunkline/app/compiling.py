from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from trunkline.catalog.profile import load_profiles
from trunkline.catalog.vendor import load_vendors
from trunkline.clock import Clock
from trunkline.config.environment import Environment, resolve
from trunkline.dialects.registry import DIALECTS
from trunkline.estate.endpoints import Address, Grant, Wanted
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.metering.prices import price_deployments
from trunkline.policy.compile import compile_estate
from trunkline.policy.reach import reach, wanted_grants
from trunkline.policy.sources import Sourced, trace_all
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.verified import Overlaid, Version, overlay
from trunkline.policy.warn import Unwise, warn

LAPSED = Grant(why="its token has lapsed, and no other came in time; the exchange's log says why")


def surround(environment: Environment) -> Surroundings:
    """Return what an estate is compiled against before anything runs: no engine listens, nothing has a price."""

    def resolve_here(reference: str) -> tuple[str | None, str]:
        resolved = resolve(reference, environment)
        return resolved.value, resolved.why

    return Surroundings(
        vendors=load_vendors(), profiles=load_profiles(), resolve=resolve_here, dialects=frozenset(DIALECTS)
    )


class Compiler:
    """Compiles the applied estate with what is around it at the moment: references, prices, engines, verifications."""

    def __init__(
        self,
        estate: Estate,
        environment: Environment,
        clock: Clock,
        *,
        addresses: Mapping[str, Address] = MappingProxyType({}),
        engines: bool = True,
        database_here: bool = True,
        content_sealed: bool = False,
    ) -> None:
        self._estate = estate
        self._clock = clock
        self._surroundings = msgspec.structs.replace(
            surround(environment),
            addresses=dict(addresses),
            engines=engines,
            database_here=database_here,
            content_sealed=content_sealed,
        )
        self._overlaid = Overlaid(estate)
        self.wanted = wanted_grants(estate, self._surroundings.vendors)
        self._price()

    @property
    def addresses(self) -> dict[str, Address]:
        """Where the engines listen that run at the moment, by deployment."""
        return self._surroundings.addresses

    def engines_at(self, addresses: dict[str, Address]) -> None:
        """Note where all engines listen now."""
        self._surroundings = msgspec.structs.replace(self._surroundings, addresses=addresses)

    def granted(self, grants: Mapping[Wanted, Grant]) -> None:
        """Note the tokens of clouds' own chains of credentials as they stand."""
        self._surroundings = msgspec.structs.replace(self._surroundings, grants=dict(grants))

    def verified(self, versions: Iterable[Version]) -> Overlaid:
        """Lay these versions of claims over the estate, in place of those before."""
        self._overlaid = overlay(self._estate, self._surroundings.vendors, versions)
        return self._overlaid

    def claims(self) -> tuple[Sourced, ...]:
        """Return every claim that counts, in the order of the estate."""
        overlaid, vendors = self._overlaid, self._surroundings.vendors
        return tuple(trace_all(overlaid.estate, vendors, self._clock.now(), overlaid.verified))

    def warn(self, snapshot: Snapshot) -> tuple[Unwise, ...]:
        """Say what is legal but unwise in the estate that was compiled into the snapshot."""
        return warn(self._overlaid.estate, self._surroundings, snapshot, self._clock.now())

    def engine_changed(self, deployment: str, address: Address | None) -> None:
        """Note where an engine listens now, or that it does not."""
        addresses = dict(self._surroundings.addresses)
        addresses.pop(deployment, None)
        if address is not None:
            addresses[deployment] = address
        self._surroundings = msgspec.structs.replace(self._surroundings, addresses=addresses)

    def compile(self) -> Snapshot:
        """Return the compiled estate of this moment; it holds no longer than its prices and tokens."""
        now = self._clock.now()
        if self._priced_until and now >= self._priced_until:
            self._price()
        grants = {
            wanted: grant if not grant.token or grant.expires > now else LAPSED
            for wanted, grant in self._surroundings.grants.items()
        }
        surroundings = msgspec.structs.replace(self._surroundings, grants=grants)
        snapshot = compile_estate(self._overlaid.estate, surroundings, now)
        ends = (self._priced_until, *(grants[wanted].expires for wanted in self.wanted & grants.keys()))
        good_until = min((end for end in ends if end), default=snapshot.good_until)
        if good_until < snapshot.good_until:
            return msgspec.structs.replace(snapshot, good_until=good_until)
        return snapshot

    def _price(self) -> None:
        # The bundled price table takes a while to load: it is asked only for what can be called.
        # A deployment that only waits for its token can be called in a moment.
        with_tokens = dict.fromkeys(self.wanted, Grant("to come"))
        endpoints = reach(self._overlaid.estate, msgspec.structs.replace(self._surroundings, grants=with_tokens))
        callable_now = {name for name, endpoint in endpoints.items() if not endpoint.missing}
        prices = price_deployments(self._estate, self._surroundings.vendors, self._clock.now(), only=callable_now)
        self._surroundings = msgspec.structs.replace(self._surroundings, prices=prices)
        self._priced_until = min((price.until for price in prices.values() if price.until), default=0)
