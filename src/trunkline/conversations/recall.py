"""What a call says of keeping, held against what its use case and policy say; and what was said before, put before it.

Nothing is kept or found but within one unit and one use case. What was kept under a stricter class raises the call to
that class before policy sees it: a conversation never flows to a deployment that its strictest turn could not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND
from trunkline.conversations.conversations import Conversations, full
from trunkline.conversations.dialogues import Dialogue, Found, Item
from trunkline.conversations.turns import Progress, Turn
from trunkline.dialects.dialect import Dialect
from trunkline.dialects.keeping import Before, KeptAnswers, Past, Wish
from trunkline.errors import Malformed, NotPermitted, Refusal, Unknown
from trunkline.estate.decisions import Decision, Denial
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.use_cases import Keeper, days_kept, most_kept
from trunkline.messages import Asked
from trunkline.policy.permit import find_decision, find_offer, strictest
from trunkline.tenancy.callers import Caller

DAY: Final = 24 * 60 * 60 * NANOS_PER_SECOND


class Recalled(msgspec.Struct, frozen=True):
    """A call of a use case whose conversations the exchange keeps.

    Attributes:
        asked: the call as it goes on, with all that was said before.
        id: of its answer.
        keeps: whether its answer is to be kept, if policy still allows it when it comes.
        before: the turn that it goes on from.
        dialogue: the conversation that it goes on with.
        taken: the ids of all items in that.
        items: what it asks by itself, to be kept.
        note: why it is not kept although nobody said that it should not be; empty otherwise.
    """

    asked: Asked
    id: str
    keeps: bool
    before: Turn | None = None
    dialogue: Dialogue | None = None
    taken: frozenset[str] = frozenset()
    items: bytes = b""
    note: str = ""


class _Found(msgspec.Struct, frozen=True):
    """All that a call goes on from, as it was found."""

    turns: tuple[Turn, ...] = ()
    dialogue: Dialogue | None = None
    items: tuple[Item, ...] = ()
    referred: Mapping[str, Found] = {}

    @property
    def classes(self) -> Iterator[str]:
        yield from (turn.data_class for turn in self.turns)
        yield from (item.data_class for item in self.items)
        yield from (found.data_class for found in self.referred.values())

    @property
    def before(self) -> Before:
        said = (*map(past, self.turns), *map(_alone, self.items))
        return Before(said, {name: _found(found) for name, found in self.referred.items()})


async def recall(
    conversations: Conversations, dialect: Dialect, snapshot: Snapshot, caller: Caller, asked: Asked
) -> tuple[Asked, Recalled | None]:
    """Return a call as it goes on, and what is to become of its answer; None for that where nobody here keeps it.

    Raises:
        Malformed: it refers to what is not there, is not kept, or cannot be kept here.
        Unknown: it goes on with a conversation, or refers to an item, that is not there.
        NotPermitted: it wants to be kept, or goes on from what was kept, and policy says no.
        Unavailable: it goes on from something, and the store is away.
        TooLarge: what it goes on from is too long.
    """
    kept, decision = dialect.kept, find_decision(snapshot, caller, asked)
    if decision is None or kept is None:
        return asked, None  # Policy says why.
    wish = kept.wish(asked)
    keeps = decision.keeps
    _check_background(decision, asked, wish)
    if keeps is None:
        return _without(kept, decision, asked, wish), None
    if keeps.by is Keeper.DEPLOYMENT:
        if wish.before is not None and kept.is_ours(wish.before):
            raise _not_found(wish.before)
        if wish.dialogue is not None and dialect.dialogues is not None and dialect.dialogues.is_ours(wish.dialogue):
            raise no_dialogue(wish.dialogue, "conversation")
        return asked, None
    found = _Found()
    if wish.field:
        found = await _find(conversations, dialect, decision, caller, wish)
        asked = _raised(snapshot, caller, asked, tuple(found.classes))
        decision = find_decision(snapshot, caller, asked) or decision
    if wish.store is False and not wish.field:
        return asked, None
    store, note = await _may_store(conversations, decision, caller, asked, wish)
    answer_id, before = kept.mint(), found.before
    last = found.turns[-1] if found.turns else None
    root = found.dialogue.id if found.dialogue is not None else answer_id if last is None else last.root
    resumed = kept.resume(asked, before)
    resumed = msgspec.structs.replace(resumed, session=asked.session or root)
    return resumed, Recalled(
        asked=resumed,
        id=answer_id,
        keeps=store,
        before=last,
        dialogue=found.dialogue,
        taken=frozenset(one.id for one in found.items),
        items=kept.items(asked, before) if store else b"",
        note=note,
    )


async def _may_store(
    conversations: Conversations, decision: Decision, caller: Caller, asked: Asked, wish: Wish
) -> tuple[bool, str]:
    """Return whether the answer is to be kept, and why not although nobody said that it should not be.

    Raises:
        NotPermitted: it must be, and policy says no.
        RateLimited: it must be, and there is no room.
    """
    if wish.store is False or decision.keeps is None:
        return False, ""
    must = "store" if wish.store else "conversation" if wish.dialogue is not None else "background"
    if decision.unkept:
        if wish.store or wish.dialogue is not None or asked.background:
            raise may_not_keep(decision, must)
        return False, f"not kept: {_why(decision.unkept[0])}"
    most = most_kept(decision.keeps)
    if await conversations.has_room(caller.unit, decision.use_case, most):
        return True, ""
    refusal = full("answers", most)
    if wish.store or wish.dialogue is not None or asked.background:
        raise refusal
    return False, f"not kept: {refusal.message}"


def _check_background(decision: Decision, asked: Asked, wish: Wish) -> None:
    """Refuse what is to be worked on without its caller where nobody here would keep it until it is fetched."""
    if not asked.background:
        return
    if decision.keeps is None:
        raise Malformed(
            f"`background`: use case {decision.use_case} keeps no answers, so this one could not be fetched. Send it "
            f"without, and with `stream` where it takes long, or ask unit {decision.owner}, its owner, to declare "
            "`keeps`.",
            code="not_kept",
            param="background",
        )
    if decision.keeps.by is Keeper.DEPLOYMENT:
        raise Malformed(
            f"`background`: use case {decision.use_case} has its deployment keep answers, which are not fetched "
            "through the exchange. Send it without, and with `stream` where it takes long.",
            code="not_supported",
            param="background",
        )
    if wish.store is False:
        raise Malformed(
            "`background` needs the answer to be kept until it is fetched. Send it without `store: false`, and delete "
            "the answer then.",
            code="invalid_value",
            param="store",
        )


def foresee_kept(dialect: Dialect, snapshot: Snapshot, caller: Caller, asked: Asked) -> Asked:
    """Return a call as policy is asked about it, without looking at what was kept: for explaining.

    What the exchange would take up itself asks nothing of a deployment. An item that is referred to counts as a message
    that says nothing.

    Raises:
        Malformed: a field has a wrong type.
    """
    kept, decision = dialect.kept, find_decision(snapshot, caller, asked)
    if decision is None or kept is None or decision.keeps is None or decision.keeps.by is not Keeper.EXCHANGE:
        return asked
    named = kept.wish(asked).references.values()
    empty = {one: Past(b'[{"id":"%b","role":"user","content":[]}]' % one.encode(), b"{}", "") for one in named}
    return kept.resume(asked, Before((), empty))


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
    if not turns or not is_of(turns[-1], caller) or not (snapshot is None or is_open(snapshot, caller, turns[-1])):
        raise Unknown(f"Response with id {turn_id[:100]!r} not found for this key.", code="response_not_found")
    return turns


def past(turn: Turn) -> Past:
    """Return a turn as its dialect reads it."""
    return Past(turn.items, turn.answer, turn.deployment)


def _alone(item: Item) -> Past:
    return Past(b"[%b]" % item.content, b"{}", item.deployment)


def _found(found: Found) -> Past:
    if found.turn is not None:
        return past(found.turn)
    return Past(b"[]", b"{}", "") if found.item is None else _alone(found.item)


def is_of(kept: Turn | Dialogue, caller: Caller) -> bool:
    """Whether what is kept is the caller's: of its unit, and of a use case that its key is for."""
    return kept.unit == caller.unit and (
        caller.use_cases is None or not kept.use_case or kept.use_case in caller.use_cases
    )


def is_open(snapshot: Snapshot, caller: Caller, kept: Turn | Dialogue) -> bool:
    """Whether the use case of what is kept is open to the caller still; one that is no use case's yet is."""
    if not kept.use_case:
        return True
    offer = find_offer(snapshot, caller, kept.use_case)
    return offer is not None and offer.use_case == kept.use_case


def _without(kept: KeptAnswers, decision: Decision, asked: Asked, wish: Wish) -> Asked:
    """The call where nobody keeps anything: its deployment is told so."""
    named = wish.field
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
    conversations: Conversations, dialect: Dialect, decision: Decision, caller: Caller, wish: Wish
) -> _Found:
    found = _Found()
    if wish.before is not None and dialect.kept is not None:
        found = _Found(turns=await _find_turns(conversations, dialect.kept, decision, caller, wish.before))
    if wish.dialogue is not None:
        found = await _find_dialogue(conversations, dialect, decision, caller, wish.dialogue)
    if wish.references:
        ids = tuple(dict.fromkeys(wish.references.values()))
        referred = await conversations.find_items(caller.unit, decision.use_case, ids)
        missing = next((where for where, named in wish.references.items() if named not in referred), "")
        if missing:
            raise Unknown(
                f"`{missing}`: item with id {wish.references[missing][:100]!r} not found for this key and use case. "
                "Only items of answers that were kept can be referred to; send the item itself.",
                code="item_not_found",
                param=missing,
            )
        found = msgspec.structs.replace(found, referred=referred)
    return found


async def _find_turns(
    conversations: Conversations, kept: KeptAnswers, decision: Decision, caller: Caller, before: str
) -> tuple[Turn, ...]:
    turns = await conversations.find(before) if kept.is_ours(before) else ()
    if not turns or not all(is_of(turn, caller) and turn.use_case == decision.use_case for turn in turns):
        raise _not_found(before)
    if turns[-1].status is not Progress.WHOLE:
        raise Malformed(
            f"This answer is not whole, so nothing can go on from it: fetch {before[:100]!r} for what became of it.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    if turns[0].before is not None:
        raise Malformed(
            "An earlier turn of this conversation was deleted or has expired, so it cannot go on as it was. Begin a "
            "new one, with what is still needed in `input`.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    if turns[0].dialogue is not None:
        raise Malformed(
            f"This answer was given in a conversation. Go on with `conversation`: {turns[0].dialogue!r}.",
            code="invalid_value",
            param="previous_response_id",
        )
    return turns


async def _find_dialogue(
    conversations: Conversations, dialect: Dialect, decision: Decision, caller: Caller, dialogue_id: str
) -> _Found:
    ours = dialect.dialogues is not None and dialect.dialogues.is_ours(dialogue_id)
    read = await conversations.read_dialogue(dialogue_id) if ours else None
    if read is None or not is_of(read[0], caller) or read[0].use_case not in ("", decision.use_case):
        raise no_dialogue(dialogue_id, "conversation")
    return _Found(dialogue=read[0], items=read[1])


def no_dialogue(dialogue_id: str, param: str | None = None) -> Unknown:
    """Return the refusal of a conversation that is not there, or somebody else's: nobody can tell which."""
    return Unknown(
        f"Conversation with id {dialogue_id[:100]!r} not found for this key.",
        code="conversation_not_found",
        param=param,
    )


def settled(dialogue: Dialogue, decision: Decision, now: int) -> Dialogue:
    """Return a dialogue as the use case's that it is used for first; erased so many days later as that one says."""
    if dialogue.use_case or decision.keeps is None:
        return dialogue
    expires_at = now + days_kept(decision.keeps) * DAY
    return msgspec.structs.replace(dialogue, use_case=decision.use_case, expires_at=expires_at)


def _raised(snapshot: Snapshot, caller: Caller, asked: Asked, classes: Sequence[str]) -> Asked:
    """The call under the strictest class of all that it goes on from."""
    own = find_offer(snapshot, caller, asked.model)
    unknown = [one for one in classes if one not in snapshot.classes]
    if unknown or own is None:
        raise NotPermitted(
            f"the conversation holds data of class {', '.join(dict.fromkeys(unknown))}, which the estate does not have "
            "any more; begin a new one",
            code="no_deployment_allowed",
        )
    if asked.data_class is not None and asked.data_class not in snapshot.classes:
        return asked  # Policy refuses it.
    found = strictest(snapshot, own.data_class, asked.data_class or own.data_class, *classes)
    return asked if found in (own.data_class, asked.data_class) else msgspec.structs.replace(asked, data_class=found)


def _not_found(before: str) -> Refusal:
    return Malformed(
        f"Previous response with id {before[:100]!r} not found for this key and use case.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def may_not_keep(decision: Decision, param: str) -> NotPermitted:
    """Return the refusal of what asks to be kept and may not be."""
    return NotPermitted(
        f"`{param}`: this may not be kept: {_why(decision.unkept[0])}. Send the call without, or ask unit "
        f"{decision.owner}, the owner of use case {decision.use_case}",
        code="keeping_not_permitted",
        param=param,
    )


def _why(denial: Denial) -> str:
    return f"{denial.rule}, but {denial.claim}"
