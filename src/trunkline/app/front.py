"""How the exchange shows itself on its socket: bounds, certificate, and the web pages it lets in."""

from __future__ import annotations

import logging
import resource

import msgspec

from trunkline.app.options import Options
from trunkline.errors import Unstartable
from trunkline.gateway.cross_origin import CrossOrigin
from trunkline.wire.server import Certificates, Limits

OPEN_FILES_MOST = 1 << 20
"""More are of no use to one process, and some systems name a number as their limit that costs much to serve."""

log = logging.getLogger("trunkline.app")


class Front(msgspec.Struct, frozen=True):
    """What a server and its gateway are started with."""

    limits: Limits
    tls: Certificates | None
    cross_origin: CrossOrigin | None

    @property
    def scheme(self) -> str:
        """What URLs of this exchange begin with."""
        return "http" if self.tls is None else "https"


def front(options: Options, *, trial: bool = False) -> Front:
    """Raise the limit of open files as far as the system lets us, and read what the options name.

    A trial, before anything is begun, only finds what has to be refused, and says nothing of bounds.

    Raises:
        Unstartable: a certificate cannot be used, or an origin is none; the message says what to do.
    """
    if (options.tls_cert is None) != (options.tls_key is None):
        raise Unstartable("a certificate and its key go together: give both --tls-cert and --tls-key, or neither")
    if options.tls_client_ca is not None and options.tls_cert is None:
        raise Unstartable("certificates of clients need TLS: give --tls-cert and --tls-key beside --tls-client-ca")
    if options.tls_client_optional and options.tls_client_ca is None:
        raise Unstartable("there are no certificates of clients to leave out: give --tls-client-ca, too")
    tls = None
    if options.tls_cert is not None and options.tls_key is not None:
        tls = Certificates(
            options.tls_cert, options.tls_key, options.tls_client_ca, optional=options.tls_client_optional
        )
    wanted = options.limits
    if wanted.body > wanted.bodies:
        raise Unstartable(
            f"one request body may have {wanted.body} bytes, but all together only {wanted.bodies}: raise "
            "--bytes-in-flight or lower --body-limit"
        )
    limits = wanted.within(raise_open_files())
    if limits is not wanted and not trial:
        log.warning(
            "at most %d connections are taken, not %d: the system allows too few open files; raise the hard limit "
            "(ulimit -Hn, or LimitNOFILE= of the service)",
            limits.connections,
            wanted.connections,
        )
    return Front(limits, tls, CrossOrigin(options.cors_origins) if options.cors_origins else None)


def raise_open_files() -> int:
    """Raise this process's limit of open files as far as it may; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return OPEN_FILES_MOST if soft == resource.RLIM_INFINITY else soft
