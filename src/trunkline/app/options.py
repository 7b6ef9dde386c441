"""What `trunkline up` was asked to do."""

from __future__ import annotations

from pathlib import Path

import msgspec

from trunkline.wire.limits import Limits

GRACE = 30.0


class Options(msgspec.Struct, frozen=True):
    """The options of `up`, checked for shape only.

    Attributes:
        data: the data folder; made where it is missing.
        estate: the file or folder that declares the estate; None for the last one applied in the data folder, or the
            one that comes with the product.
        host: the address to listen on.
        port: the TCP port; 0 lets the system choose one.
        engines: whether the exchange runs the engines that the estate declares.
        log_level: `debug`, `info`, `warning` or `error`.
        ca_file: certificates to trust upstream beside the system's own, in PEM form.
        tls_cert: the certificate to show to clients, in PEM form; None for plain HTTP.
        tls_key: its key.
        tls_client_ca: the authorities whose certificates clients must show; None asks for none.
        tls_client_optional: clients may also show no certificate.
        cors_origins: the origins whose web pages may call.
        workers: processes that answer; with one, the exchange is a single process.
        grace: seconds that running calls get to finish when the exchange is told to stop.
        log_style: `auto`, `json` or `text`.
        limits: how much of its callers each process takes, and for how long.
        content_key: reference to the keys that kept content is encrypted with; None keeps it as it is.
        store: path, URL or reference of the store; None for the one the data folder remembers, or its own.
    """

    data: Path
    estate: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8440
    engines: bool = True
    log_level: str = "info"
    ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_client_optional: bool = False
    cors_origins: tuple[str, ...] = ()
    workers: int = 1
    grace: float = GRACE
    log_style: str = "auto"
    limits: Limits = Limits()
    store: str | None = None
    content_key: str | None = None
