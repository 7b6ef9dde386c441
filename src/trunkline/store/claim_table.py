from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, func, select

from trunkline.estate.claims import Claim
from trunkline.policy.verified import Version
from trunkline.store.schema import claims
from trunkline.store.sessions import Sessions, alone

_encode = msgspec.json.Encoder().encode
_claim = msgspec.json.Decoder(Claim).decode

CLAIMS = "claims"
"""The topic under which new versions are told."""


class ClaimTable:
    """The verified claims' part of the store: implements `policy.verified.ClaimStore`. Rows are only ever added."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def record_claim(self, deployment: str, control: str, claim: Claim, at: int) -> Version:
        """Keep a new version, in nanoseconds since 1970, beside all before it."""
        of_claim = (claims.c.deployment == deployment, claims.c.control == control)
        with self._sessions.writing() as connection:
            alone(connection, f"claim {deployment} {control}")
            last = connection.execute(select(func.max(claims.c.number)).where(*of_claim)).scalar_one()
            version = Version(deployment, control, (last or 0) + 1, claim, at)
            connection.execute(claims.insert().values(_values(version)))
            self._sessions.tell(connection, CLAIMS)
        return version

    def claim_versions(self) -> tuple[Version, ...]:
        """Every version ever recorded, oldest first."""
        order = (claims.c.recorded_at, claims.c.deployment, claims.c.control, claims.c.number)
        return tuple(_version(row) for row in self._sessions.rows(select(claims).order_by(*order)))

    def claims_changed(self) -> int:
        """Count the versions ever recorded, by any process. Cheap."""
        return self._sessions.glance("SELECT count(*) FROM claims")


def _values(version: Version) -> dict[str, Any]:
    return {
        "deployment": version.deployment,
        "control": version.control,
        "number": version.number,
        "claim": _encode(version.claim).decode(),
        "recorded_at": version.recorded_at,
    }


def _version(row: Row[Any]) -> Version:
    return Version(row.deployment, row.control, row.number, _claim(row.claim), row.recorded_at)
