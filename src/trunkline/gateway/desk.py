"""Conversations that callers make, fill, read and erase by an id of their own, without a call to a model.

What is put into one is held against policy as an answer is that is to be kept: its use case must keep conversations in
the exchange, and the exchange's store must satisfy its data class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.conversations.conversations import Conversations
from trunkline.conversations.dialogues import Dialogue, Item, Span
from trunkline.conversations.recall import DAY, is_of, is_open, may_not_keep, no_dialogue, settled
from trunkline.dialects.dialect import Dialect
from trunkline.dialects.keeping import Dialogues, Single
from trunkline.errors import Malformed, Unknown
from trunkline.estate.decisions import Decision
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.use_cases import MOST_KEPT, Keeper, days_kept, most_kept
from trunkline.gateway.admit import count
from trunkline.gateway.decode import DATA_CLASS, END_CUSTOMER
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.identify import identify
from trunkline.messages import Asked, Operation
from trunkline.metering.hold import writable
from trunkline.policy.permit import decide, find_decision, offered
from trunkline.tenancy.callers import Caller
from trunkline.wire.server import Request

USE_CASE: Final = b"x-trunkline-use-case"


class Desk:
    """Answers one request for conversations."""

    __slots__ = ("_dialect", "_exchange", "_names", "_request", "_shape", "_store")

    def __init__(self, exchange: Exchange, named: tuple[Dialect, Dialogues, str], request: Request) -> None:
        self._exchange = exchange
        self._dialect, self._shape, rest = named
        self._names = rest.split("/") if rest else []
        self._request = request
        if exchange.conversations is None:
            raise self._no_path()
        self._store: Conversations = exchange.conversations

    async def answer(self) -> bytes:
        """Return the answer's body.

        Raises:
            Refusal: there is no such conversation for this caller, or it may not have what is to be kept in it.
        """
        caller = await identify(self._exchange, self._request)
        await count(self._exchange, caller)
        method = "GET" if self._request.method == "HEAD" else self._request.method
        match self._names:
            case [dialogue_id]:
                return await self._answer_one(caller, method, dialogue_id)
            case [dialogue_id, _]:
                dialogue = await self._find(caller, dialogue_id)
                return await (self._list(dialogue) if method == "GET" else self._add(caller, dialogue))
            case [dialogue_id, _, item_id]:
                return await self._answer_item(caller, method, dialogue_id, item_id)
        return await self._begin(caller)

    @property
    def methods(self) -> tuple[str, ...]:
        """What the path takes.

        Raises:
            Unknown: there is no such path.
        """
        match self._names:
            case []:
                return ("POST",)
            case [_]:
                return ("GET", "HEAD", "POST", "DELETE")
            case [_, below] if below == self._shape.items:
                return ("GET", "HEAD", "POST")
            case [_, below, item_id] if below == self._shape.items and item_id:
                return ("GET", "HEAD", "DELETE")
        raise self._no_path()

    async def _answer_one(self, caller: Caller, method: str, dialogue_id: str) -> bytes:
        # Whoever may not read any more may still erase.
        dialogue = await self._find(caller, dialogue_id, erases=method == "DELETE")
        if method == "DELETE":
            if not await self._store.forget_dialogue(dialogue_id):
                raise no_dialogue(dialogue_id)
            return self._shape.write_deleted(dialogue_id)
        if method == "POST":
            metadata = self._shape.read_metadata(self._request.body)
            decision = self._decide(caller, dialogue)
            dialogue = settled(dialogue, decision, self._store.clock.now())
            dialogue = msgspec.structs.replace(dialogue, metadata=metadata, data_class=decision.data_class)
            if not await self._store.change_dialogue(dialogue):
                raise no_dialogue(dialogue_id)
        return self._told(dialogue)

    async def _answer_item(self, caller: Caller, method: str, dialogue_id: str, item_id: str) -> bytes:
        dialogue = await self._find(caller, dialogue_id, erases=method == "DELETE")
        if not self._shape.is_item(item_id):
            raise _no_item(item_id)
        if method == "DELETE":
            if not await self._store.forget_item(dialogue, item_id):
                raise _no_item(item_id)
            return self._told(dialogue)
        item = await self._store.find_item(dialogue, item_id)
        if item is None:
            raise _no_item(item_id)
        return item.content

    async def _begin(self, caller: Caller) -> bytes:
        singles, metadata = self._shape.read_new(self._request.body)
        now = self._store.clock.now()
        asked = self._asked(self._request.headers.get(USE_CASE, b"").decode("latin-1").strip())
        dialogue = Dialogue(
            id=self._shape.mint(),
            unit=caller.unit,
            use_case="",
            key=caller.key,
            end_customer=asked.end_customer,
            data_class="",
            made_at=now,
            expires_at=now,
            metadata=metadata,
        )
        keeping = [] if asked.model else self._keeping(caller)
        if len(keeping) > 1 and not singles and not metadata:
            # The first call says whose it is; until then it holds nothing.
            dialogue = msgspec.structs.replace(
                dialogue, expires_at=now + min(days_kept(one.keeps) for one in keeping if one.keeps) * DAY
            )
            await self._store.begin(dialogue, (), min(most_kept(one.keeps) for one in keeping if one.keeps))
            return self._told(dialogue)
        decision = self._decide(caller, dialogue)
        dialogue = settled(dialogue, decision, now)
        if metadata:
            dialogue = msgspec.structs.replace(dialogue, data_class=decision.data_class)
        most = MOST_KEPT if decision.keeps is None else most_kept(decision.keeps)
        await self._store.begin(dialogue, self._items(caller, decision, singles), most)
        return self._told(dialogue)

    async def _list(self, dialogue: Dialogue) -> bytes:
        page = self._shape.read_page(self._request.query)
        found = await self._store.page_items(dialogue, Span(page.limit + 1, page.after, page.newest_first))
        if found is None:
            raise Malformed("`after` is the id of no item here.", code="invalid_value", param="after")
        return self._shape.write_page([Single(one.id, one.content) for one in found], page.limit)

    async def _add(self, caller: Caller, dialogue: Dialogue) -> bytes:
        singles = self._shape.read_items(self._request.body)
        decision = self._decide(caller, dialogue)
        settled_one = settled(dialogue, decision, self._store.clock.now())
        if not await self._store.add_items(settled_one, self._items(caller, decision, singles)):
            raise no_dialogue(dialogue.id)
        return self._shape.write_page(singles, len(singles))

    def _items(self, caller: Caller, decision: Decision, singles: Sequence[Single]) -> list[Item]:
        now, end_customer = self._store.clock.now(), self._asked("").end_customer
        return [
            Item(
                id=one.id,
                key=caller.key,
                end_customer=end_customer,
                data_class=decision.data_class,
                deployment="",
                made_at=now,
                content=one.content,
            )
            for one in singles
        ]

    async def _find(self, caller: Caller, dialogue_id: str, *, erases: bool = False) -> Dialogue:
        found = await self._store.find_dialogue(dialogue_id) if self._shape.is_ours(dialogue_id) else None
        if found is None or not is_of(found, caller) or not (erases or is_open(self._snapshot, caller, found)):
            raise no_dialogue(dialogue_id)
        return found

    def _decide(self, caller: Caller, dialogue: Dialogue) -> Decision:
        """Return what is decided of what is to be put into a dialogue now.

        Raises:
            Malformed: nobody says whose use case it is, or that one does not keep conversations here.
            NotPermitted: policy does not let it be kept.
        """
        named = self._request.headers.get(USE_CASE, b"").decode("latin-1").strip()
        if dialogue.use_case and named not in ("", dialogue.use_case):
            raise Malformed(
                f"The conversation is use case {dialogue.use_case}'s, not {named[:80]}'s.",
                code="invalid_value",
                param=USE_CASE.decode(),
            )
        decision, _ = decide(self._snapshot, caller, self._asked(dialogue.use_case or named or self._only(caller)))
        keeps = decision.keeps
        if keeps is None or keeps.by is not Keeper.EXCHANGE:
            instead = (
                "has its deployment keep conversations: make them at the provider"
                if keeps is not None
                else f"keeps none: send what was said as items of `input`, or ask unit {decision.owner}, its owner, to "
                "declare `keeps`"
            )
            raise Malformed(f"Use case {decision.use_case} {instead}.", code="not_kept", param=USE_CASE.decode())
        if decision.unkept:
            raise may_not_keep(decision, "items")
        return decision

    def _only(self, caller: Caller) -> str:
        """The one use case of the caller's that keeps conversations here."""
        keeping = [one.use_case for one in self._keeping(caller)]
        if not keeping:
            raise Malformed(
                "None of your use cases keeps conversations in the exchange. Send what was said as items of `input`, "
                "or ask the owner of a use case to declare `keeps`.",
                code="not_kept",
            )
        if len(keeping) > 1:
            raise Malformed(
                f"Say whose conversation it is in the header `{USE_CASE.decode()}`, for several of your use cases keep "
                f"some: {', '.join(keeping)}. Or make an empty one, without `items` and `metadata`: it becomes that of "
                "the first call with it.",
                code="use_case_not_named",
                param=USE_CASE.decode(),
            )
        return keeping[0]

    def _keeping(self, caller: Caller) -> list[Decision]:
        names = (offer.name for offer in offered(self._snapshot, caller) if offer.name == offer.use_case)
        found = [find_decision(self._snapshot, caller, self._asked(name)) for name in names]
        return [one for one in found if one is not None and one.keeps is not None and one.keeps.by is Keeper.EXCHANGE]

    def _asked(self, use_case: str) -> Asked:
        """A call of a use case that asks for nothing, with what the headers say of it."""
        headers = self._request.headers
        data_class, end_customer = headers.get(DATA_CLASS), headers.get(END_CUSTOMER)
        return Asked(
            operation=Operation.CHAT,
            dialect=self._dialect.name,
            model=use_case,
            fields={},
            data_class=None if data_class is None else data_class.decode("latin-1").strip(),
            end_customer=None if end_customer is None else writable(end_customer.decode("latin-1").strip()),
        )

    def _told(self, dialogue: Dialogue) -> bytes:
        return self._shape.write(dialogue.id, dialogue.made_at, dialogue.metadata)

    @property
    def _snapshot(self) -> Snapshot:
        return self._exchange.snapshot

    def _no_path(self) -> Unknown:
        path = self._shape.path
        items = f"{path}/ID/{self._shape.items}"
        return Unknown(
            f"There is no path {self._request.path[:200]} here. See {path}, {path}/ID, {items} and {items}/ID.",
            code="path_not_found",
        )


def _no_item(item_id: str) -> Unknown:
    return Unknown(f"Item with id {item_id[:100]!r} not found in this conversation.", code="item_not_found")
