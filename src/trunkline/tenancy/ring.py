from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from typing import NoReturn

import msgspec

from trunkline import errors
from trunkline.clock import as_datetime
from trunkline.ids import KeyId
from trunkline.tenancy.callers import Caller
from trunkline.tenancy.certificates import NO_KEY, Bearer, Bearers
from trunkline.tenancy.keyed import Keyed
from trunkline.tenancy.keys import Key
from trunkline.tenancy.mint import digest

ADMIN = KeyId("key_admin")
SHORTEST_ADMIN_SECRET = 16
NEVER = (1 << 63) - 1

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Known(msgspec.Struct, frozen=True):
    """A key as it is looked up: who it stands for, until when, from where; or why it identifies nobody."""

    digest: bytes
    caller: Caller
    until: int
    networks: tuple[Network, ...] = ()
    refusal: str = ""
    inside: str = ""


class KeyRing:
    """All keys, ready to identify with. Immutable: a change of keys or units makes a new ring.

    Args:
        keys: every key there is.
        pepper: the data folder's.
        cost_centres: of every unit that the estate has.
        root: the unit without a parent, which the admin key acts for.
        admin: the admin key's secret, if there is one.
        bearers: the client certificates that stand for callers without a key.

    Raises:
        errors.Unstartable: the admin key is too short.
    """

    def __init__(
        self,
        keys: Iterable[Key],
        *,
        pepper: bytes,
        cost_centres: Mapping[str, str],
        root: str,
        admin: str | None = None,
        bearers: Iterable[Bearer] = (),
    ) -> None:
        self.bearers = Bearers(bearers, cost_centres)
        self._keyed = Keyed(pepper)
        self._known = {key.digest: _know(key, cost_centres) for key in keys}
        self._nobody = digest(pepper, b"")
        if admin:
            if len(admin) < SHORTEST_ADMIN_SECRET:
                message = f"TRUNKLINE_ADMIN_KEY has {len(admin)} characters: give it {SHORTEST_ADMIN_SECRET} or more"
                raise errors.Unstartable(message)
            hashed = digest(pepper, admin)
            self._known[hashed] = _Known(hashed, Caller(ADMIN, root, cost_centres[root]), NEVER)

    def __len__(self) -> int:
        return len(self._known)

    def identify(self, secret: bytes, peer: str, now: int) -> Caller:
        """Return who a secret stands for. Writes nothing, whatever comes.

        Secrets are looked up by their keyed digest, and digests compared in constant time: how long it takes tells
        nothing of the secrets there are.

        Args:
            secret: as it came in the request's header; empty when none came.
            peer: the address it came from.
            now: nanoseconds since 1970.

        Raises:
            errors.Unidentified: it stands for nobody, or not now, or not from there.
        """
        hashed = self._keyed.digest(secret)
        known = self._known.get(hashed)
        if not hmac.compare_digest(known.digest if known is not None else self._nobody, hashed) or known is None:
            _refuse_unknown(secret)
        if known.refusal:
            raise errors.Unidentified(known.refusal, inside=f"{known.caller.key}: {known.inside or known.refusal}")
        if now >= known.until:
            message = f"the API key expired on {as_datetime(known.until):%Y-%m-%d}: ask for a new one"
            raise errors.Unidentified(message, code="expired_api_key", inside=f"{known.caller.key}: {message}")
        if known.networks and not _comes_from(peer, known.networks):
            message = "the API key may not be used from this address: use it from its networks, or ask for another"
            raise errors.Unidentified(message, inside=f"{known.caller.key} came from {peer}")
        return known.caller


def _know(key: Key, cost_centres: Mapping[str, str]) -> _Known:
    use_cases = frozenset(key.use_cases) or None
    caller = Caller(key.id, key.unit, cost_centres.get(key.unit, ""), use_cases, key.person)
    refusal = inside = ""
    if key.revoked_at is not None:
        refusal = "the API key was revoked: ask for a new one"
    elif key.unit not in cost_centres:
        refusal = "the API key is not valid: ask for a new one"
        inside = f"its unit {key.unit} is not in the estate"
    networks = tuple(ipaddress.ip_network(text) for text in key.networks)
    return _Known(key.digest, caller, NEVER if key.expires_at is None else key.expires_at, networks, refusal, inside)


def _refuse_unknown(secret: bytes) -> NoReturn:
    if not secret:
        raise errors.Unidentified(NO_KEY, code="missing_api_key")
    raise errors.Unidentified("the API key is not valid: check it, or ask for a new one")


def _comes_from(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
