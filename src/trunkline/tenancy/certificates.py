"""Clients' certificates as callers: who a verified certificate stands for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from trunkline import errors
from trunkline.ids import KeyId
from trunkline.tenancy.callers import Caller
from trunkline.wire.peer import Certificate

NO_KEY = "no API key came with the request: send one as `Authorization: Bearer KEY`"


class Bearer(msgspec.Struct, frozen=True):
    """Certificates that stand for one caller: all that is given here must be in the certificate.

    Attributes:
        uri: a URI among its subject alternative names; `dns` and `email` likewise.
        common_name: of its subject.
        sha256: its digest, 64 small hexadecimal digits.
    """

    name: str
    unit: str
    use_cases: tuple[str, ...] = ()
    uri: str | None = None
    dns: str | None = None
    email: str | None = None
    common_name: str | None = None
    sha256: str | None = None

    @property
    def key(self) -> KeyId:
        """What stands for the key of such a caller, in the ledger and in audiences."""
        return KeyId(f"cert_{self.name}")

    def marks(self) -> tuple[tuple[str, str], ...]:
        """What a certificate must have, each with its kind."""
        kinds = ("uri", "dns", "email", "common_name", "sha256")
        return tuple((kind, value) for kind in kinds if (value := getattr(self, kind)) is not None)


class Bearers:
    """All certificates that stand for callers. Immutable, like the ring of keys that holds it."""

    def __init__(self, bearers: Iterable[Bearer], cost_centres: Mapping[str, str]) -> None:
        self._by_mark: dict[tuple[str, str], list[Bearer]] = defaultdict(list)
        self._callers: dict[str, Caller] = {}
        for bearer in bearers:
            marks = bearer.marks()
            if marks:
                self._by_mark[marks[0]].append(bearer)
            use_cases = frozenset(bearer.use_cases) or None
            self._callers[bearer.name] = Caller(bearer.key, bearer.unit, cost_centres[bearer.unit], use_cases)

    def identify(self, certificate: Certificate) -> Caller:
        """Return who a verified certificate stands for.

        Raises:
            errors.Unidentified: for nobody, or for several: then for none of them.
        """
        has = _marks_of(certificate)
        found = [
            bearer
            for mark in has
            for bearer in self._by_mark.get(mark, ())
            if all(one in has for one in bearer.marks())
        ]
        if len(found) == 1:
            return self._callers[found[0].name]
        if not found:
            raise errors.Unidentified(
                f"{NO_KEY}. The client certificate stands for no caller",
                code="missing_api_key",
                inside=f"the certificate {certificate.sha256} is not declared",
            )
        names = ", ".join(sorted(bearer.name for bearer in found))
        raise errors.Unidentified(
            "the client certificate stands for more than one caller: send an API key, or have its declaration mended",
            code="ambiguous_certificate",
            inside=f"the certificate {certificate.sha256} fits {names}",
        )


def _marks_of(certificate: Certificate) -> frozenset[tuple[str, str]]:
    return frozenset(
        [
            ("sha256", certificate.sha256),
            ("common_name", certificate.common_name),
            *(("uri", value) for value in certificate.uris),
            *(("dns", value) for value in certificate.dns),
            *(("email", value) for value in certificate.emails),
        ]
    )
