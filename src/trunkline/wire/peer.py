"""Who is at the other end of a connection."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Certificate(msgspec.Struct, frozen=True):
    """What a client's verified certificate says of it.

    Attributes:
        sha256: the digest of the whole certificate, 64 small hexadecimal digits.
        common_name: of its subject; empty where it has none or several.
        uris: the URIs among its subject alternative names, as they stand.
        dns: the host names among them, in small letters.
        emails: the mail addresses among them, as they stand.
    """

    sha256: str
    common_name: str = ""
    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


class Peer(msgspec.Struct, frozen=True):
    """The client of one connection: its IP address, and its certificate where it showed one that was verified."""

    address: str
    certificate: Certificate | None = None


def certificate_of(transport: asyncio.BaseTransport) -> Certificate | None:
    """Return the certificate that the client showed and that was verified; None where there is none."""
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    # The details are told of a verified certificate only, its bytes of any.
    told: Mapping[str, Any] | None = secured.getpeercert() if secured is not None else None
    raw = secured.getpeercert(binary_form=True) if secured is not None and told else None
    if raw is None or told is None:
        return None
    names: Iterable[tuple[str, str]] = told.get("subjectAltName", ())
    common = [value for part in told.get("subject", ()) for field, value in part if field == "commonName"]
    return Certificate(
        sha256=hashlib.sha256(raw).hexdigest(),
        common_name=common[0] if len(common) == 1 else "",
        uris=tuple(value for kind, value in names if kind == "URI"),
        dns=tuple(value.lower() for kind, value in names if kind == "DNS"),
        emails=tuple(value for kind, value in names if kind == "email"),
    )
