"""What a call says of keeping, held against what its use case and policy say; and what was said before, put before it.

Nothing is kept or found but within one unit and one use case. What was kept under a stricter class raises the call to
that class before policy sees it: a conversation never flows to a deployment that its strictest turn could not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.turns import Turn
from trunkline.dialects.dialect import KeptAnswers, Past, Wish
from trunkline.errors import Malformed, NotPermitted, Refusal, Unknown
from trunkline.estate.stages import Decision, Denial, Snapshot
from trunkline.estate.use_cases import Keeper
from trunkline.messages import Asked
from trunkline.policy.permit import find_decision, find_offer, strictest
from trunkline.tenancy.callers import Caller


class Recalled(msgspec.Struct, frozen=True):
    """A call of a use case whose conversations the exchange keeps.

    Attributes:
        asked: the call as it goes on, with all that was said before.
        id: of its answer.
        before: the turn that it goes on from.
        keeps: whether its answer is to be kept, if policy still allows it when it comes.
        items: what it asks by itself, to be kept.
        note: why it is not kept although nobody said that it should not be; empty otherwise.
    """

    asked: Asked
    id: str
    before: Turn | None
    keeps: bool
    items: bytes
    note: str = ""


async def recall(
    conversations: Conversations, kept: KeptAnswers, snapshot: Snapshot, caller: Caller, asked: Asked
) -> tuple[Asked, Recalled | None]:
    """Return a call as it goes on, and what is to become of its answer; None for that where nobody here keeps it.

    Raises:
        Malformed: it refers to what is not there, is not kept, or cannot be kept here.
        NotPermitted: it wants to be kept, or goes on from what was kept, and policy says no.
        Unavailable: it goes on from something, and the store is away.
        TooLarge: what it goes on from is too long.
    """
    decision = find_decision(snapshot, caller, asked)
    if decision is None:
        return asked, None  # Policy says why.
    wish = kept.wish(asked)
    keeps = decision.keeps
    if keeps is None:
        return _without(kept, decision, asked, wish), None
    if keeps.by is Keeper.DEPLOYMENT:
        if wish.before is not None and kept.is_ours(wish.before):
            raise _not_found(wish.before)
        return asked, None
    if wish.elsewhere:
        raise Malformed(
            f"`{wish.elsewhere}` cannot be followed here: the exchange keeps answers, and goes on from them by "
            "`previous_response_id`. Send that, or the items themselves.",
            code="not_supported",
            param=wish.elsewhere,
        )
    turns: tuple[Turn, ...] = ()
    if wish.before is not None:
        turns = await _find(conversations, kept, decision, caller, wish.before)
        asked = _raised(snapshot, caller, asked, turns)
        decision = find_decision(snapshot, caller, asked) or decision
    note = ""
    if wish.store is not False and decision.unkept:
        if wish.store:
            raise _may_not(decision, decision.unkept[0])
        note = f"not kept: {_why(decision.unkept[0])}"
    if wish.store is False and not turns:
        return asked, None
    answer_id = kept.mint()
    root = turns[-1].root if turns else answer_id
    resumed = kept.resume(asked, [past(turn) for turn in turns])
    resumed = msgspec.structs.replace(resumed, session=asked.session or root)
    store = wish.store is not False and not decision.unkept
    items = kept.items(asked) if store else b""
    return resumed, Recalled(resumed, answer_id, turns[-1] if turns else None, store, items, note)


async def find_kept(
    conversations: Conversations, kept: KeptAnswers, caller: Caller, turn_id: str, snapshot: Snapshot | None
) -> tuple[Turn, ...]:
    """Return a turn that is the caller's with all before it, oldest first.

    Args:
        conversations: where it is looked for.
        kept: the make of its id.
        caller: whose it must be.
        turn_id: as the caller wrote it.
        snapshot: says whether the use case is still open to the caller; None where that does not matter.

    Raises:
        Unknown: there is none, or it is somebody else's: nobody can tell which.
        Unavailable: the store is away.
    """
    turns = await conversations.find(turn_id) if kept.is_ours(turn_id) else ()
    if not turns or not _is_of(turns[-1], caller) or not (snapshot is None or _is_open(snapshot, caller, turns[-1])):
        raise Unknown(f"Response with id {turn_id[:100]!r} not found for this key.", code="response_not_found")
    return turns


def _is_open(snapshot: Snapshot, caller: Caller, turn: Turn) -> bool:
    offer = find_offer(snapshot, caller, turn.use_case)
    return offer is not None and offer.use_case == turn.use_case


def past(turn: Turn) -> Past:
    """Return a turn as its dialect reads it."""
    return Past(turn.items, turn.answer, turn.deployment)


def _is_of(turn: Turn, caller: Caller) -> bool:
    return turn.unit == caller.unit and (caller.use_cases is None or turn.use_case in caller.use_cases)


def _without(kept: KeptAnswers, decision: Decision, asked: Asked, wish: Wish) -> Asked:
    """The call where nobody keeps anything: its deployment is told so."""
    named = "previous_response_id" if wish.before is not None else wish.elsewhere
    if named:
        raise Malformed(
            f"`{named}`: use case {decision.use_case} keeps no answers, so there is nothing to go on from. Send the "
            f"whole conversation as items of `input`, or ask unit {decision.owner}, its owner, to declare `keeps`.",
            code="not_kept",
            param=named,
        )
    unkept = kept.unkept(asked)
    if not wish.store:
        return unkept
    if decision.drops_uncarried:
        return msgspec.structs.replace(unkept, dropped=(*unkept.dropped, "store"))
    raise Malformed(
        f"`store`: use case {decision.use_case} keeps no answers. Send it without, or ask unit {decision.owner}, its "
        "owner, to declare `keeps`.",
        code="not_kept",
        param="store",
    )


async def _find(
    conversations: Conversations, kept: KeptAnswers, decision: Decision, caller: Caller, before: str
) -> tuple[Turn, ...]:
    turns = await conversations.find(before) if kept.is_ours(before) else ()
    if not turns or not all(_is_of(turn, caller) and turn.use_case == decision.use_case for turn in turns):
        raise _not_found(before)
    if turns[0].before is not None:
        raise Malformed(
            "An earlier turn of this conversation was deleted or has expired, so it cannot go on as it was. Begin a "
            "new one, with what is still needed in `input`.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return turns


def _raised(snapshot: Snapshot, caller: Caller, asked: Asked, turns: Sequence[Turn]) -> Asked:
    """The call under the strictest class of its conversation."""
    own = find_offer(snapshot, caller, asked.model)
    unknown = [turn.data_class for turn in turns if turn.data_class not in snapshot.classes]
    if unknown or own is None:
        raise NotPermitted(
            f"the conversation holds data of class {', '.join(dict.fromkeys(unknown))}, which the estate does not have "
            "any more; begin a new one",
            code="no_deployment_allowed",
            param="previous_response_id",
        )
    if asked.data_class is not None and asked.data_class not in snapshot.classes:
        return asked  # Policy refuses it.
    classes = [turn.data_class for turn in turns]
    found = strictest(snapshot, own.data_class, asked.data_class or own.data_class, *classes)
    return asked if found in (own.data_class, asked.data_class) else msgspec.structs.replace(asked, data_class=found)


def _not_found(before: str) -> Refusal:
    return Malformed(
        f"Previous response with id {before[:100]!r} not found for this key and use case.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def _may_not(decision: Decision, denial: Denial) -> NotPermitted:
    return NotPermitted(
        f"`store`: the answer may not be kept: {_why(denial)}. Send the call without, or ask unit {decision.owner}, "
        f"the owner of use case {decision.use_case}",
        code="keeping_not_permitted",
        param="store",
    )


def _why(denial: Denial) -> str:
    return f"{denial.rule}, but {denial.claim}"
