from __future__ import annotations

import hmac
import ipaddress
import secrets

import msgspec

from trunkline import errors
from trunkline.ids import mint_key_id
from trunkline.tenancy.keys import Key

SECRET_PREFIX = "tl-"  # noqa: S105 - the visible beginning of every secret
VISIBLE = 8
LONGEST_NAME = 320
"""Characters of a person's name: as many as an address of electronic mail may have."""
_RANDOM_BYTES = 32


class Restrictions(msgspec.Struct, frozen=True):
    """What a key is restricted to.

    Attributes:
        use_cases: the only ones it may name; empty for all of its unit's.
        networks: the only addresses it may come from, in CIDR form; empty for any.
        expires_at: when it ends, in nanoseconds since 1970; None for never.
    """

    use_cases: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    expires_at: int | None = None


NONE = Restrictions()


def mint(
    unit: str,
    *,
    pepper: bytes,
    now: int,
    only: Restrictions = NONE,
    label: str = "",
    person: str | None = None,
) -> tuple[Key, str]:
    """Make a key for a unit; return it with its secret (`tl-` and 43 random characters), which is kept nowhere.

    Args:
        unit: whom it acts for.
        pepper: the data folder's.
        now: nanoseconds since 1970.
        only: what it is restricted to.
        label: what people call it.
        person: whom it is issued to; None for no one person.

    Raises:
        errors.Malformed: a network is not in CIDR form, the key would have expired already, or the person has no name.
    """
    if only.expires_at is not None and only.expires_at <= now:
        raise errors.Malformed("the key would have expired already: give a later time", param="expires_at")
    secret = SECRET_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    key = Key(
        id=mint_key_id(),
        prefix=secret[:VISIBLE],
        digest=digest(pepper, secret),
        unit=unit,
        created_at=now,
        use_cases=only.use_cases,
        networks=tuple(_network(text) for text in only.networks),
        expires_at=only.expires_at,
        label=label,
        person=None if person is None else _person(person),
    )
    return key, secret


def digest(pepper: bytes, secret: str | bytes) -> bytes:
    """Return what is kept of a secret: its HMAC-SHA-256 under the data folder's pepper."""
    return hmac.digest(pepper, secret.encode() if isinstance(secret, str) else secret, "sha256")


def _person(text: str) -> str:
    """Return a person's name as budgets compare it: to the letter, without blanks around it."""
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        message = f"a person is named by 1 to {LONGEST_NAME} printable characters, such as ada@acme.example"
        raise errors.Malformed(message, param="person")
    return name


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as fault:
        message = f"{text!r} is not a network in CIDR form, such as 10.0.0.0/8 or 2001:db8::/32: {fault}"
        raise errors.Malformed(message, param="networks") from fault
