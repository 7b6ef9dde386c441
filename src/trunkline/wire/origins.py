"""Where a request goes, and how long it may take."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True, cache_hash=True):
    """A host, a port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """Host and port as a URL writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Times(msgspec.Struct, frozen=True):
    """How long one request may take, in seconds.

    Attributes:
        connect: for address, connection and TLS.
        first_byte: from sending the request to the end of the answer's head.
        between: between two reads of the body.
        total: for everything.
    """

    connect: float
    first_byte: float
    between: float
    total: float
