"""Writing what is sent: the caller's own bytes where the deployment speaks his dialect, else translated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from trunkline.dialects.dialect import Dialect, Written
from trunkline.dialects.neutral import Uncarried
from trunkline.dialects.registry import DIALECTS
from trunkline.dialects.translate import Bridge, lacks, translate, translate_count
from trunkline.errors import NotCarried
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Attempt
from trunkline.messages import Asked, Operation

IMAGE: Final = b"image"
"""What stands in every picture of every dialect: its kind, or its media type."""


class Letter(msgspec.Struct, frozen=True):
    """What one attempt sends.

    Attributes:
        path: behind the deployment's base path.
        body: the JSON.
        dropped: fields of the caller's request that are not in it.
        headers: header lines of the caller's that go on, each ended by CR LF.
        bridge: the way back for the answer; None where the deployment speaks the caller's dialect.
    """

    path: bytes
    body: bytes
    dropped: tuple[str, ...] = ()
    headers: bytes = b""
    bridge: Bridge | None = None


def compose(attempt: Attempt, output_limit: int | None = None) -> Letter:
    """Write what an attempt sends. `output_limit` bounds each answer, where what is held goes by it.

    Raises:
        NotCarried: the deployment cannot carry something of the request, and the use case does not let it be dropped.
        Malformed: a request that must be translated is not as its dialect has it.
    """
    endpoint, asked, decision = attempt.endpoint, attempt.permitted.asked, attempt.permitted.decision
    rewrites = [
        (one.field, one.value) for one in attempt.permitted.rewrites if one.holds_at(endpoint.deployment)
    ]  # fmt: skip
    door, model = DIALECTS[asked.dialect], endpoint.upstream_model
    if asked.counts_only and (counting := counts_in(asked.dialect, endpoint)) is not None:
        return _count(attempt, (door, DIALECTS[counting]), rewrites)
    if output_limit is not None:
        rewrites.append(door.limit(asked, endpoint, output_limit))
        asked = msgspec.structs.replace(asked, output_limit=output_limit)
    far = door if asked.dialect in endpoint.speaks else DIALECTS[endpoint.dialect]
    thoughts = asked.thoughts
    if thoughts is not None and thoughts.deployment == endpoint.deployment:
        rewrites.append((thoughts.field, thoughts.value))
    if far is door and not (_asks_too_much(asked, endpoint) and lacks(asked, door, endpoint)):
        if endpoint.renames or endpoint.omits:
            rewrites += adjust(asked, endpoint, rewrites)
        body = door.encode(asked, model, decision.instructions, rewrites)
        return Letter(door.path(asked, model).encode(), body, asked.dropped, asked.forwarded)
    written = translate(asked, (door, far), endpoint, decision.instructions, rewrites)
    dropped = _dropped(attempt, written)
    return Letter(far.path(asked, model).encode(), written.body, dropped, bridge=Bridge(asked, door, far))


def counts_in(dialect: str, endpoint: Endpoint) -> str | None:
    """Return the dialect in which an endpoint counts the tokens of a prompt: the caller's before all others.

    None where it counts in none.
    """
    own = DIALECTS[endpoint.dialect].counting
    counting = ((endpoint.dialect,) if own is not None and own.everywhere else ()) + endpoint.counts
    return dialect if dialect in counting else next(iter(counting), None)


def _count(attempt: Attempt, way: tuple[Dialect, Dialect], rewrites: list[tuple[str, bytes | None]]) -> Letter:
    endpoint, asked, decision = attempt.endpoint, attempt.permitted.asked, attempt.permitted.decision
    door, far = way
    model = endpoint.upstream_model
    if door is far:
        return Letter(door.path(asked, model).encode(), door.encode(asked, model, decision.instructions, rewrites))
    there, written = translate_count(asked, way, endpoint, decision.instructions, rewrites)
    dropped = _dropped(attempt, written)
    return Letter(far.path(there, model).encode(), written.body, dropped, bridge=Bridge(asked, door, far))


def _dropped(attempt: Attempt, written: Written) -> tuple[str, ...]:
    """Return what of the request is not sent.

    Raises:
        NotCarried: it alters the answer, and the use case does not let it be dropped.
    """
    lost = [one for one in written.uncarried if not one.hint]
    if lost and not attempt.permitted.decision.drops_uncarried:
        raise _not_carried(lost)
    return tuple(dict.fromkeys((*attempt.permitted.asked.dropped, *(one.field for one in written.uncarried))))


def adjust(
    asked: Asked, endpoint: Endpoint, rewrites: Iterable[tuple[str, bytes | None]]
) -> list[tuple[str, bytes | None]]:
    """Return what is written otherwise for a vendor that speaks the caller's dialect with other words."""
    written = asked.fields | {field: msgspec.Raw(value) for field, value in rewrites if value is not None}
    gone = {field for field, value in rewrites if value is None}
    made: list[tuple[str, bytes | None]] = [(field, None) for field in endpoint.omits]
    for field, theirs in endpoint.renames:
        if field in written and field not in gone:
            made.append((field, None))
            if theirs not in written:
                made.append((theirs, bytes(written[field])))
    return made


def _asks_too_much(asked: Asked, endpoint: Endpoint) -> bool:
    """Whether the request may have a picture for a model that sees none, told without reading it."""
    features = endpoint.features
    if features is None or "images" in features or asked.operation is not Operation.CHAT:
        return False
    return any(IMAGE in bytes(raw) for raw in asked.fields.values())


def _not_carried(lost: Iterable[Uncarried]) -> NotCarried:
    reasons = dict.fromkeys(f"`{one.field}`: {one.why}" for one in lost)
    return NotCarried("; ".join(reasons), fields=tuple(dict.fromkeys(one.field for one in lost)), droppable=True)
