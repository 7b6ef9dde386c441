"""Keys: minted once, shown once, kept only as a keyed digest."""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline.ids import KeyId


class Key(msgspec.Struct, frozen=True):
    """A key as it is kept. Times are nanoseconds since 1970.

    Attributes:
        prefix: the visible beginning of the secret, to recognise it by.
        digest: HMAC-SHA-256 of the secret under the data folder's pepper.
        networks: the addresses it may come from, in CIDR form; empty for any.
        successor: the key that replaced it in a rotation; this one then expires after the grace period.
        person: whom it was issued to, where that is one person; all that person's keys share one budget and one limit.
    """

    id: KeyId
    prefix: str
    digest: bytes
    unit: str
    created_at: int
    use_cases: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: int | None = None
    revoked_at: int | None = None
    successor: KeyId | None = None
    label: str = ""
    person: str | None = None


class KeyStore(Protocol):
    """Where keys are kept. Implemented by the store."""

    def add(self, key: Key) -> None:
        """Keep a new key."""
        ...

    def replace(self, key: Key) -> None:
        """Keep a changed key (revoked, expiring, replaced) in place of the one with its id."""
        ...

    def all(self) -> tuple[Key, ...]:
        """Every key ever made, oldest first."""
        ...
