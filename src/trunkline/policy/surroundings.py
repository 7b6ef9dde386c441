from __future__ import annotations

from collections.abc import Callable

import msgspec

from trunkline.catalog.profile import Profile
from trunkline.catalog.vendor import Vendor
from trunkline.estate.endpoints import Address, Grant, Wanted
from trunkline.estate.unit_prices import UnitPrice

Resolve = Callable[[str], tuple[str | None, str]]
"""Turns a reference such as `env:NAME` or `file:PATH` into its value, or into None and the reason."""


class Surroundings(msgspec.Struct, frozen=True):
    """What an estate is compiled against: all that is not declared in it.

    Attributes:
        prices: by deployment; one that is not there has no known price.
        addresses: of the engines that run at the moment, by deployment.
        dialects: what upstreams this exchange can speak to.
        grants: tokens of clouds' own chains of credentials, as they stand.
        engines: whether the exchange runs engines at all.
        database_here: whether the store's database is on this machine.
        content_sealed: whether kept content is encrypted with a key of the operator's.
    """

    vendors: dict[str, Vendor]
    profiles: dict[str, Profile]
    resolve: Resolve
    prices: dict[str, UnitPrice] = {}
    addresses: dict[str, Address] = {}
    grants: dict[Wanted, Grant] = {}
    dialects: frozenset[str] = frozenset({"openai"})
    engines: bool = True
    database_here: bool = True
    content_sealed: bool = False
