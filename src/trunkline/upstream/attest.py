"""Holding an answer against what its deployment attests with each, before a byte of it may reach the caller."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.errors import Unattested
from trunkline.estate.claims import Attestation
from trunkline.estate.endpoints import Endpoint
from trunkline.wire.client import Response

SHOWN: Final = 60
"""How many characters of what was found instead a message shows."""

_DATA: Final = b"data:"


def attest_head(endpoint: Endpoint, response: Response, *, whole: bool) -> None:
    """Hold the head of an answer against what its headers must attest.

    Args:
        endpoint: the deployment that answered.
        response: its answer, with nothing of the body read.
        whole: whether it answered the question; an error may lack the header, but not contradict it.

    Raises:
        Unattested: a header is missing or says something else.
    """
    for control, attestation in endpoint.attested:
        if attestation.header is None:
            continue
        raw = response.headers.get(attestation.header.lower().encode())
        if raw is None and not whole:
            continue
        found = None if raw is None else raw.decode("latin-1").strip()
        _hold(endpoint, control, attestation, f"header {attestation.header}", found)


def attest_body(endpoint: Endpoint, body: bytes) -> None:
    """Hold a whole answer, or the data of a stream's first event, against what the body must attest.

    Raises:
        Unattested: it is not there, or says something else.
    """
    for control, attestation in endpoint.attested:
        if attestation.body is not None:
            _hold(endpoint, control, attestation, f"{attestation.body} of the body", _find(body, attestation.body))


def attest_event(endpoint: Endpoint, event: bytes) -> None:
    """Hold the first event of a stream against what the body must attest.

    Raises:
        Unattested: it is not there, or says something else.
    """
    lines = (line for line in event.splitlines() if line.startswith(_DATA))
    attest_body(endpoint, b"\n".join(line.removeprefix(_DATA) for line in lines))


def _hold(endpoint: Endpoint, control: str, attestation: Attestation, where: str, found: str | None) -> None:
    if found == attestation.expect:
        return
    instead = "it is not there" if found is None else f"it is {found[:SHOWN]!r}"
    raise Unattested(
        f"its answer did not attest {control}",
        control=control,
        inside=f"{endpoint.deployment} must attest {control} by {where} being {attestation.expect!r}, and {instead}",
    )


def _find(body: bytes, path: str) -> str | None:
    """What stands at a dotted path, as it would be written in the estate; None where nothing does."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
