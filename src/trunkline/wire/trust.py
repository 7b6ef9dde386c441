"""Whom the client's end trusts over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from trunkline.errors import Unstartable


def trust(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that always verifies certificate and host name.

    The machine's certificate authorities are trusted (OpenSSL reads `SSL_CERT_FILE` and `SSL_CERT_DIR` in place of
    them), and those in `ca_file` besides: PEM, one or more certificates.

    Raises:
        Unstartable: `ca_file` cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as fault:
            reason = fault.strerror or fault
            message = f"cannot read certificate authorities from {ca_file}: {reason}; it must be a PEM file"
            raise Unstartable(message) from fault
    return context
