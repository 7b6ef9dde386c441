from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.errors import Unavailable
from trunkline.gateway.exchange import Exchange
from trunkline.tenancy.keys import Key, KeyStore
from trunkline.tenancy.mint import mint
from trunkline.tenancy.ring import KeyRing

FIRST_LABEL = "first key"
LOOK_EVERY = 0.25
"""Seconds between two looks for changed keys: a key revoked by any process is void well within a second."""

log = logging.getLogger("trunkline.app")


class CountedKeys(KeyStore, Protocol):
    """A key store that tells cheaply whether anything changed."""

    def changed(self) -> int:
        """Count the changes ever made."""
        ...


class Rings(msgspec.Struct, frozen=True):
    """Makes a ring of keys for the applied estate."""

    pepper: bytes
    cost_centres: dict[str, str]
    root: str
    admin: str | None

    def make(self, keys: tuple[Key, ...]) -> KeyRing:
        """Return the ring of these keys.

        Raises:
            Unstartable: the admin key is too short.
        """
        return KeyRing(keys, pepper=self.pepper, cost_centres=self.cost_centres, root=self.root, admin=self.admin)


def first_key(store: KeyStore, rings: Rings, clock: Clock) -> str | None:
    """Mint a key for the root unit where there is none at all yet; return its secret, which is shown this once."""
    if store.all():
        return None
    key, secret = mint(rings.root, pepper=rings.pepper, now=clock.now(), label=FIRST_LABEL)
    store.add(key)
    return secret


async def follow_keys(exchange: Exchange, store: CountedKeys, rings: Rings) -> None:
    """Keep the exchange's ring as the store has it. While the store is away, the keys known so far go on."""
    seen = -1
    away = False
    while True:
        try:
            count = await asyncio.to_thread(store.changed)
            if count != seen:
                exchange.ring = rings.make(await asyncio.to_thread(store.all))
                seen = count
            away = False
        except Unavailable as fault:
            if not away:
                log.warning("keys cannot be read; those known go on: %s", fault.inside)
            away = True
        await asyncio.sleep(LOOK_EVERY)
