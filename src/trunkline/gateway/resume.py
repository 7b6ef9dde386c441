from __future__ import annotations

from trunkline.conversations.recall import recall
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import Malformed
from trunkline.estate.snapshot import Snapshot
from trunkline.gateway.errand import Errand, LateReply
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.keep import KeptReply
from trunkline.messages import Asked
from trunkline.tenancy.callers import Caller
from trunkline.wire.headers import line
from trunkline.wire.server import Reply


async def resume(
    exchange: Exchange, snapshot: Snapshot, caller: Caller, asked: Asked, reply: Reply | Errand
) -> tuple[Asked, KeptReply | None]:
    """Return a call with what was said before it, and the reply that keeps its answer; None where nobody here does.

    Raises:
        Refusal: what it goes on from is not there, may not be used, or cannot be read at the moment.
    """
    dialect, conversations = DIALECTS[asked.dialect], exchange.conversations
    kept = dialect.kept
    if kept is None or conversations is None:
        if asked.background:
            raise Malformed("`background`: nobody keeps answers here.", code="not_supported", param="background")
        return asked, None
    asked, recalled = await recall(conversations, dialect, snapshot, caller, asked)
    if recalled is None:
        return asked, None
    if recalled.note:
        reply.also(line(b"x-trunkline-note", recalled.note.encode("ascii", "replace")))
    return asked, LateReply(reply, kept, recalled) if isinstance(reply, Errand) else KeptReply(reply, kept, recalled)
