"""Which proxy leads to an origin: the environment's, by the rules that curl follows."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Self
from urllib.parse import unquote, urlsplit

import msgspec

from trunkline.errors import Unstartable


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. `authorization` is the value of its `Proxy-Authorization` header, or empty."""

    host: str
    port: int
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Proxies(msgspec.Struct, frozen=True):
    """The proxies for origins with TLS and without; `direct` names hosts, domains and networks reached without one."""

    tls: Proxy | None = None
    plain: Proxy | None = None
    direct: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Self:
        """Read HTTPS_PROXY, HTTP_PROXY and NO_PROXY; the same names in lower case win.

        Raises:
            Unstartable: a proxy's URL is not `http://[user:password@]host[:port]`.
        """
        direct = env.get("no_proxy") or env.get("NO_PROXY") or ""
        return cls(
            tls=_proxy(env, "HTTPS_PROXY"),
            plain=_proxy(env, "HTTP_PROXY"),
            direct=tuple(entry.strip().lower() for entry in direct.split(",") if entry.strip()),
        )

    def find(self, host: str, port: int, *, tls: bool) -> Proxy | None:
        """Return the proxy for an origin, or None to connect directly. Loopback is never reached through a proxy."""
        proxy = self.tls if tls else self.plain
        if proxy is None or self._is_direct(host.lower().rstrip("."), port):
            return None
        return proxy

    def _is_direct(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback):
            return True
        return any(_matches(entry, host, port, address) for entry in self.direct)


def _matches(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and name.count(":") == 0:
        if int(number) != port:
            return False
        entry = name
    domain = entry.removeprefix("*").removeprefix(".")
    return host == domain or host.endswith("." + domain)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _proxy(env: Mapping[str, str], name: str) -> Proxy | None:
    url = env.get(name.lower()) or env.get(name)
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else "http://" + url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if not host or parts.scheme != "http":
        raise Unstartable(f"{name} is not a proxy's URL; write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT")
    authorization = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    return Proxy(host, port, authorization)
