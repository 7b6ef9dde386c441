from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Sequence

from trunkline import errors
from trunkline.ids import mint_key_id
from trunkline.tenancy.keys import Key

SECRET_PREFIX = "tl-"  # noqa: S105 - the visible beginning of every secret
VISIBLE = 8
_RANDOM_BYTES = 32


def mint(
    unit: str,
    *,
    pepper: bytes,
    now: int,
    use_cases: Sequence[str] = (),
    networks: Sequence[str] = (),
    expires_at: int | None = None,
    label: str = "",
) -> tuple[Key, str]:
    """Make a key for a unit; return it with its secret (`tl-` and 43 random characters), which is kept nowhere.

    Args:
        unit: whom it acts for.
        pepper: the data folder's.
        now: nanoseconds since 1970.
        use_cases: the only use cases it may name; empty for all of its unit's.
        networks: the only addresses it may come from, in CIDR form; empty for any.
        expires_at: when it ends, in nanoseconds since 1970; None for never.
        label: what people call it.

    Raises:
        errors.Malformed: a network is not in CIDR form, or the key would have expired already.
    """
    if expires_at is not None and expires_at <= now:
        raise errors.Malformed("the key would have expired already: give a later time", param="expires_at")
    secret = SECRET_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    key = Key(
        id=mint_key_id(),
        prefix=secret[:VISIBLE],
        digest=digest(pepper, secret),
        unit=unit,
        created_at=now,
        use_cases=tuple(use_cases),
        networks=tuple(_network(text) for text in networks),
        expires_at=expires_at,
        label=label,
    )
    return key, secret


def digest(pepper: bytes, secret: str | bytes) -> bytes:
    """Return what is kept of a secret: its HMAC-SHA-256 under the data folder's pepper."""
    return hmac.digest(pepper, secret.encode() if isinstance(secret, str) else secret, "sha256")


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as fault:
        message = f"{text!r} is not a network in CIDR form, such as 10.0.0.0/8 or 2001:db8::/32: {fault}"
        raise errors.Malformed(message, param="networks") from fault
