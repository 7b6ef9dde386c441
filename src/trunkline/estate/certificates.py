from __future__ import annotations

from typing import Annotated

import msgspec

from trunkline.estate.names import UnitName, UseCaseName

Text = Annotated[str, msgspec.Meta(min_length=1)]
Fingerprint = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(sha256:)?[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2}){31}$",
        extra={"rule": "a SHA-256 is 64 hexadecimal digits, with or without colons between each two"},
    ),
]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Client certificates that stand for a caller: a call over one of them needs no key.

    The certificate must be signed by an authority of `--tls-client-ca`, and have all that is given here, at least one:
    `uri`, `dns` or `email` among its subject alternative names (to the letter, no wildcards), `common_name` in its
    subject, or `sha256` as its digest. The caller is of `unit`, and may name only `use_cases` where given.
    """

    unit: UnitName
    use_cases: tuple[UseCaseName, ...] = ()
    uri: Text | None = None
    dns: Text | None = None
    email: Text | None = None
    common_name: Text | None = None
    sha256: Fingerprint | None = None

    def marks(self) -> dict[str, str]:
        """What a certificate must have, by kind, written as certificates are read."""
        plain = {"uri": self.uri, "email": self.email, "common_name": self.common_name}
        marks = {kind: value for kind, value in plain.items() if value is not None}
        if self.dns is not None:
            marks["dns"] = self.dns.lower()
        if self.sha256 is not None:
            marks["sha256"] = self.sha256.lower().removeprefix("sha256:").replace(":", "")
        return marks
