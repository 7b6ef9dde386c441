from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from trunkline.clock import Clock
from trunkline.errors import Unavailable
from trunkline.gateway.exchange import Exchange
from trunkline.store.changes import Changes
from trunkline.store.key_table import KEYS
from trunkline.tenancy.certificates import Bearer
from trunkline.tenancy.keys import Key, KeyStore
from trunkline.tenancy.mint import mint
from trunkline.tenancy.ring import KeyRing

FIRST_LABEL = "first key"
LOOK_APART = 20_000_000
"""Nanoseconds between two looks that unknown keys bring about."""
LOOK_EVERY = 0.25
"""Seconds between two looks for changed keys: a key revoked by any process is void well within a second."""

log = logging.getLogger("trunkline.app")


class CountedKeys(KeyStore, Protocol):
    """A key store that many processes work on, and that tells cheaply whether anything changed."""

    def add_first(self, key: Key) -> bool:
        """Keep a key only if there is none at all; return whether it was kept."""
        ...

    def changed(self) -> int:
        """Count the changes ever made."""
        ...


class Rings(msgspec.Struct, frozen=True):
    """Makes a ring of keys for the applied estate."""

    pepper: bytes
    cost_centres: dict[str, str]
    root: str
    admin: str | None
    bearers: tuple[Bearer, ...] = ()

    def make(self, keys: tuple[Key, ...]) -> KeyRing:
        """Return the ring of these keys.

        Raises:
            Unstartable: the admin key is too short.
        """
        return KeyRing(
            keys,
            pepper=self.pepper,
            cost_centres=self.cost_centres,
            root=self.root,
            admin=self.admin,
            bearers=self.bearers,
        )


def first_key(store: CountedKeys, rings: Rings, clock: Clock) -> str | None:
    """Mint a key for the root unit where there is none at all yet; return its secret, which is shown this once."""
    if store.all():
        return None
    key, secret = mint(rings.root, pepper=rings.pepper, now=clock.now(), label=FIRST_LABEL)
    return secret if store.add_first(key) else None


class KeyWatch:
    """Keeps an exchange's ring as the store has its keys, whichever process changes them.

    While the store is away, the keys known so far go on.
    """

    def __init__(
        self, exchange: Exchange, store: CountedKeys, rings: Rings, clock: Clock, keys: tuple[Key, ...] = ()
    ) -> None:
        self._exchange = exchange
        self._keys = keys
        self._store = store
        self._rings = rings
        self._clock = clock
        self._seen = -1
        self._away = False
        self._looked_at = 0
        self._looking = asyncio.Lock()

    async def follow(self, changes: Changes) -> None:
        """Look at every change that is told, and now and then, for ever."""
        while True:
            await self.look()
            await changes.wait(KEYS, LOOK_EVERY)

    async def look(self) -> bool:
        """Take over changes, if there are any; return whether the ring is newer than at the call.

        However many ask at once, the store is asked once, and at most once in `LOOK_APART`: somebody who tries keys
        costs no more.
        """
        ring = self._exchange.ring
        async with self._looking:
            if self._exchange.ring is ring and self._clock.ticks() - self._looked_at >= LOOK_APART:
                await self._take_over()
                self._looked_at = self._clock.ticks()
        return self._exchange.ring is not ring

    def make(self, rings: Rings) -> KeyRing:
        """Return the ring of the keys known at the moment for another estate."""
        return rings.make(self._keys)

    def adopt(self, rings: Rings, ring: KeyRing) -> None:
        """Go on with another estate's rings, of which this is the first."""
        self._rings = rings
        self._exchange.ring = ring
        self._seen = -1  # The keys may have changed while the ring was made.

    async def _take_over(self) -> None:
        try:
            count = await asyncio.to_thread(self._store.changed)
            if count != self._seen:
                self._keys = await asyncio.to_thread(self._store.all)
                self._exchange.ring = self._rings.make(self._keys)
                self._seen = count
            self._away = False
        except Unavailable as fault:
            if not self._away:
                log.warning("keys cannot be read; those known go on: %s", fault.inside)
            self._away = True
