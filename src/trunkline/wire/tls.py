"""The server's certificate, taken anew when its files change."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from trunkline.errors import Unstartable

REVOKED = b"-----BEGIN X509 CRL-----"

log = logging.getLogger("trunkline.wire")


class Certificates:
    """A certificate and its key, in PEM files; with `client_authorities`, clients must show one that these signed.

    Where it is `optional`, they may also show none; a wrong one is refused all the same. Revocation lists (CRL) in the
    file of the authorities are heeded: a certificate they name, or an authority without a list, is refused then.

    TLS 1.2 and newer only, with OpenSSL's own choice of ciphers. `look` takes new files for the connections to come;
    those that stand go on as they are.

    Attributes:
        context: what the server listens with.
    """

    __slots__ = ("_certificate", "_client_authorities", "_current", "_key", "_optional", "_seen", "context")

    def __init__(
        self, certificate: Path, key: Path, client_authorities: Path | None = None, *, optional: bool = False
    ) -> None:
        """Read the files.

        Raises:
            Unstartable: one of them cannot be read, or the key is not the certificate's.
        """
        self._certificate = certificate
        self._key = key
        self._client_authorities = client_authorities
        self._optional = optional
        self._seen = self._marks()
        self.context = self._current = self._made()
        # Called for every handshake, whether the client names a server or not: the one place to change certificates.
        self.context.sni_callback = self._choose

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for certificates."""
        return self._client_authorities is not None

    def look(self) -> None:
        """Take the files anew where they have changed; where they are wrong, the old ones stay, and the log says so."""
        marks = self._marks()
        if marks == self._seen:
            return
        self._seen = marks
        try:
            self._current = self._made()
        except Unstartable as fault:
            log.warning("the new certificate is not taken, the old one stays: %s", fault)
        else:
            log.info("a new certificate is in force for new connections")

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if connection.context is not self._current:
            connection.context = self._current

    def _files(self) -> tuple[Path, ...]:
        files = (self._certificate, self._key)
        return files if self._client_authorities is None else (*files, self._client_authorities)

    def _marks(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in self._files())

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        try:
            # An empty password: a key that needs one must not make the exchange wait at a terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as fault:
            raise Unstartable(
                f"cannot use the certificate {self._certificate} with the key {self._key}: {_why(fault)}; both must be "
                "PEM files, the key without a password and the certificate's own"
            ) from fault
        if self._client_authorities is not None:
            try:
                context.load_verify_locations(self._client_authorities)
                lists = REVOKED in self._client_authorities.read_bytes()
            except (OSError, ValueError) as fault:
                raise Unstartable(
                    f"cannot read the clients' authorities from {self._client_authorities}: {_why(fault)}; it must be "
                    "a PEM file"
                ) from fault
            if lists:
                context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
            context.verify_mode = ssl.CERT_OPTIONAL if self._optional else ssl.CERT_REQUIRED
            # Every handshake is a whole one: a ticket would outlive what its certificate was verified against.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called every second, and a Path costs more
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _why(fault: Exception) -> str:
    reason = fault.strerror if isinstance(fault, OSError) else None
    return reason or str(fault)
