from __future__ import annotations

import msgspec

from trunkline import errors
from trunkline.clock import NANOS_PER_SECOND, iso
from trunkline.tenancy.keys import Key
from trunkline.tenancy.mint import Restrictions, mint


class Rotation(msgspec.Struct, frozen=True):
    """A key's replacement: keep `new` first, then `old` in place of what it was; show `secret` once."""

    old: Key
    new: Key
    secret: str


def rotate(key: Key, *, grace: float, pepper: bytes, now: int) -> Rotation:
    """Replace a key by a new one with the same rights; the old one works for `grace` seconds more, if it had so long.

    Raises:
        errors.Malformed: the key has ended or was replaced before.
    """
    if key.successor is not None:
        raise errors.Malformed(f"key {key.id} was replaced by {key.successor} before: rotate that one")
    if key.revoked_at is not None:
        raise errors.Malformed(f"key {key.id} was revoked at {iso(key.revoked_at)}: create a new one")
    if key.expires_at is not None and key.expires_at <= now:
        raise errors.Malformed(f"key {key.id} expired at {iso(key.expires_at)}: create a new one")
    new, secret = mint(
        key.unit,
        pepper=pepper,
        now=now,
        only=Restrictions(key.use_cases, key.networks, key.expires_at),
        label=key.label,
        person=key.person,
    )
    end = now + int(max(grace, 0) * NANOS_PER_SECOND)
    if key.expires_at is not None:
        end = min(end, key.expires_at)
    return Rotation(msgspec.structs.replace(key, expires_at=end, successor=new.id), new, secret)


def revoke(key: Key, *, now: int) -> Key:
    """Return the key as revoked; one that was revoked before keeps its time."""
    return key if key.revoked_at is not None else msgspec.structs.replace(key, revoked_at=now)
