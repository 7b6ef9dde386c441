"""Answers that the exchange keeps, and conversations that go on from them.

Source: OpenAI API reference, "Create a model response" (`store`, `previous_response_id`, `instructions`), "Get a model
response", "Delete a model response", "List input items".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.keeping import Before, Marks, Page, Past, Single, Wish
from trunkline.dialects.responses.codec import DOORS
from trunkline.errors import Malformed, Unknown
from trunkline.messages import Asked, Thoughts
from trunkline.wire.sse import data_of

PATH: Final = next(iter(DOORS))
PREFIX: Final = "resp_kept_"
"""How the ids begin that the exchange mints: no provider's do, so neither is taken for the other."""
OURS: Final = re.compile(PREFIX + "[0-9a-f]{32}")
ITEM_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
ITEMS: Final = {"message": "msg", "function_call_output": "fco", "function_call": "fc", "reasoning": "rs"}
NAMELESS: Final = frozenset({"message", "function_call", "function_call_output"})
"""Items that mean the same without their id: it is left out where they are sent again."""
REFERENCE: Final = re.compile(rb"item_reference|\\u")
"""What stands in every list of items that refers to another; an escape may spell it."""
WHOLE: Final = frozenset({"completed", "incomplete"})
ENDS: Final = frozenset(f"response.{status}" for status in WHOLE)
REFERS: Final = "item_reference"
OURS_ALONE: Final = frozenset({"previous_response_id", "conversation", "background"})
"""Fields that no deployment hears of."""
NOTHING_BEFORE: Final = Before()
PAGE: Final = 20
MOST: Final = 100

_encode = msgspec.json.Encoder().encode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class _Kinds(msgspec.Struct, frozen=True):
    type: str | None = None
    id: Any = None


class _Id(msgspec.Struct, frozen=True):
    id: str


class _Said(msgspec.Struct, frozen=True):
    output: list[dict[str, Any]] = []


class _Outline(msgspec.Struct, frozen=True):
    output: list[_Kinds] = []


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    response: msgspec.Raw = ABSENT


_decode_dialogue = msgspec.json.Decoder(str | _Id).decode
_decode_kinds = msgspec.json.Decoder(list[_Kinds]).decode
_decode_outline = msgspec.json.Decoder(_Outline).decode
_decode_said = msgspec.json.Decoder(_Said).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def mint() -> str:
    """Return an id that nobody can guess."""
    return PREFIX + secrets.token_hex(16)


def is_ours(answer_id: str) -> bool:
    """Whether the exchange may have minted it."""
    return OURS.fullmatch(answer_id) is not None


def is_id(item_id: object) -> bool:
    """Whether something can be the id of an item that is kept."""
    return isinstance(item_id, str) and ITEM_ID.fullmatch(item_id) is not None


def read_wish(asked: Asked) -> Wish:
    """Return what a request says of keeping and of what was kept.

    Raises:
        Malformed: a field has a wrong type, or two speak of what was said before.
    """
    fields = asked.fields
    before = _read(fields, "previous_response_id", _decode_text, "the id of an answer")
    dialogue = _read(fields, "conversation", _decode_dialogue, "the id of a conversation, or an object with it")
    if before is not None and dialogue is not None:
        raise Malformed(
            "`previous_response_id` and `conversation` cannot be given together: both say what was said before.",
            code="invalid_value",
            param="previous_response_id",
        )
    return Wish(
        _read(fields, "store", _decode_flag, "true or false"),
        before,
        dialogue.id if isinstance(dialogue, _Id) else dialogue,
        _references(fields.get("input", ABSENT)),
    )


def _given(fields: dict[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) not in NOTHING


def _read(fields: dict[str, msgspec.Raw], name: str, decode: Any, what: str) -> Any:
    if not _given(fields, name):
        return None
    try:
        return decode(fields[name])
    except msgspec.ValidationError as error:
        raise Malformed(f"`{name}` must be {what}.", code="invalid_type", param=name) from error


def _references(prompt: msgspec.Raw) -> dict[str, str]:
    seen = memoryview(prompt)  # Pictures in it are not copied for a look.
    if bytes(seen[:1]) != b"[" or REFERENCE.search(seen) is None:
        return {}
    try:
        kinds = _decode_kinds(prompt)
    except msgspec.ValidationError:
        return {}
    found: dict[str, str] = {}
    for index, one in enumerate(kinds):
        if one.type == REFERS:
            if not is_id(one.id):
                where = f"input[{index}].id"
                raise Malformed(f"`{where}` must be the id of an item.", code="invalid_value", param=where)
            found[f"input[{index}]"] = one.id
    return found


def unkept(asked: Asked) -> Asked:
    """Return the request, so that its deployment keeps nothing."""
    if bytes(asked.fields.get("store", b"")) == b"false":
        return asked
    return msgspec.structs.replace(asked, fields=asked.fields | {"store": msgspec.Raw(b"false")})


def resume(asked: Asked, before: Before) -> Asked:
    """Return the request as if all that was said earlier stood in it, oldest first.

    Earlier instructions are not carried over. Thoughts go back only to the deployment that answered last, where that
    one thought them: nobody else could take them up again.
    """
    fields = {name: raw for name, raw in asked.fields.items() if name not in OURS_ALONE}
    fields["store"] = msgspec.Raw(b"false")
    turns = before.said
    own = _own_items(asked)
    whence = turns or tuple(before.referred.values())
    last = next((one.deployment for one in reversed(whence) if one.deployment), "")
    said: list[dict[str, Any]] = []
    thought: list[dict[str, Any]] = []

    def say(item: dict[str, Any], deployment: str) -> None:
        thinks = item.get("type") == "reasoning"
        if not thinks:
            said.append(_nameless(item))
        if not thinks or (deployment == last and item.get("encrypted_content")):
            thought.append(_nameless(item))

    known: set[Any] = set()
    for turn in turns:
        for item in _items(turn):
            say(item, turn.deployment)
            known.add(item.get("id"))
    for item in own:
        if item.get("type") != REFERS:
            said.append(item)
            thought.append(item)
        elif (named := item.get("id")) not in known:
            kept = before.referred[str(named)]
            say(_pick(kept, named), kept.deployment)
    prompt, thoughts = _encode(said), None
    if len(thought) > len(said):
        thoughts = Thoughts(last, "input", _encode(thought))
    fields["input"] = msgspec.Raw(prompt)
    size = sum(len(name) + len(memoryview(raw)) for name, raw in fields.items()) + max(
        0, len(thoughts.value if thoughts is not None else b"") - len(prompt)
    )
    return msgspec.structs.replace(asked, fields=fields, thoughts=thoughts, prompt_bound=size)


def _items(turn: Past) -> list[dict[str, Any]]:
    return [*_decode_items(turn.items), *_decode_said(turn.answer).output]


def _pick(found: Past, item_id: Any) -> dict[str, Any]:
    for item in _items(found):
        if item.get("id") == item_id:
            return item
    raise Unknown(f"Item with id {str(item_id)[:100]!r} not found.", code="item_not_found", param="input")


def _nameless(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it is sent again: without the id under which it was told, unless only that says what it is."""
    if item.get("type", "message") not in NAMELESS:
        return item
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def _own_items(asked: Asked) -> list[dict[str, Any]]:
    raw = bytes(asked.fields.get("input", b""))
    if raw in NOTHING:
        return []
    if raw.startswith(b'"'):
        return [_message("user", _decode_text(raw))]
    try:
        return _decode_items(raw)
    except msgspec.ValidationError as error:
        raise Malformed(
            "`input` must be text or a list of items, each an object.", code="invalid_type", param="input"
        ) from error


def _message(role: str, text: str) -> dict[str, Any]:
    kind = {"type": "output_text", "annotations": []} if role == "assistant" else {"type": "input_text"}
    return {"type": "message", "role": role, "content": [{**kind, "text": text}]}


def items_of(asked: Asked, before: Before = NOTHING_BEFORE) -> bytes:
    """Return what a request asks by itself, as items with ids.

    An item that it refers to is kept again where it stands in what was said, but for thoughts: whoever answers may not
    have thought them.

    Raises:
        Malformed: its input is no list of objects.
    """
    known = {item.get("id") for turn in before.said for item in _items(turn)} if before.referred else set()
    kept = []
    for item in _own_items(asked):
        if item.get("type") != REFERS:
            kept.append(whole(item))
        elif item.get("id") not in known:
            found = _pick(before.referred[str(item["id"])], item["id"])
            if found.get("type") != "reasoning":
                kept.append(whole({name: value for name, value in found.items() if name != "id"}))
    return _encode(kept)


def split(items: bytes, answer: bytes, taken: Collection[str] = ()) -> Sequence[Single]:
    """Return the items of a request and of its answer, one by one, each under an id that is not taken yet."""
    found: dict[str, Single] = {}
    for item in (*_decode_items(items), *_decode_said(answer).output):
        item_id = str(item.get("id"))
        if "id" not in item or not is_id(item_id) or item_id in taken or item_id in found:
            item_id = mint_item(item)
        found[item_id] = Single(item_id, _encode(item | {"id": item_id}))
    return tuple(found.values())


def ids_of(items: bytes, answer: bytes) -> Sequence[str]:
    """Return the ids under which the items of a request and of its answer can be referred to."""
    found = (*_decode_kinds(items), *_decode_outline(answer).output)
    return [one.id for one in found if is_id(one.id)]


def mint_item(item: dict[str, Any]) -> str:
    """Return an id for an item of its kind."""
    return f"{ITEMS.get(str(item.get('type') or 'message'), 'item')}_{secrets.token_hex(16)}"


def whole(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it is listed: with its type, its content as parts, and an id."""
    role, content = item.get("role"), item.get("content")
    if isinstance(role, str) and isinstance(content, str) and item.get("type", "message") == "message":
        item = item | _message(role, content)
    kind = str(item.get("type") or "message")
    status = {"status": "completed"} if kind == "message" else {}
    return {"id": mint_item(item), "type": kind} | status | item


def mark(answer: bytes, marks: Marks) -> bytes | None:
    """Return an answer under the exchange's own id; None for what is no answer that anybody could go on from."""
    try:
        fields = _decode_fields(answer)
        _decode_said(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if fields.get("status") is not None and _decode_status(fields["status"]) not in WHOLE:
        return None
    return marked(fields, marks)


def _decode_status(raw: msgspec.Raw) -> str:
    try:
        return _decode_text(raw)
    except msgspec.ValidationError:
        return ""


def marked(fields: dict[str, msgspec.Raw], marks: Marks) -> bytes:
    """Return the fields of an answer with the exchange's marks."""
    told: dict[str, Any] = {"id": marks.id, "previous_response_id": marks.before, "store": marks.kept}
    if marks.late:
        told["background"] = True
    if marks.dialogue is not None:
        # One that was not put into its conversation after all does not belong to it.
        told["conversation"] = {"id": marks.dialogue} if marks.kept else None
    return _encode(fields | {name: msgspec.Raw(_encode(value)) for name, value in told.items()})


def mark_event(event: bytes, marks: Marks) -> tuple[bytes, bool]:
    """Return an event with the exchange's own id in the answer it carries, and whether it ends a whole answer."""
    data = data_of(event)
    if b'"response"' not in data:
        return event, False
    try:
        read = _decode_event(data)
        fields = _decode_fields(data)
        inside = {} if bytes(read.response) in NOTHING else _decode_fields(read.response)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return event, False
    if not inside:
        return event, False
    fields["response"] = msgspec.Raw(marked(inside, marks))
    return b"event: %b\ndata: %b\n\n" % (read.type.encode(), _encode(fields)), read.type in ENDS


def find(event: bytes) -> bytes:
    """Return the answer that the last event of a stream holds."""
    read = _decode_event(data_of(event))
    return bytes(read.response)


def write_items(turns: Sequence[Past], query: str) -> bytes:
    """Return a page of all that was asked and answered before an answer, its own request included.

    Args:
        turns: oldest first; of the last one, what was asked alone belongs to it.
        query: `limit` (1 to 100), `order` (`desc` unless it is `asc`), `after` (the id of an item).

    Raises:
        Malformed: one of them has a value that cannot be.
    """
    asks = read_page(query)
    listed = list(_listed(turns))
    if asks.newest_first:
        listed.reverse()
    if asks.after is not None:
        places = [index for index, item in enumerate(listed) if item.get("id") == asks.after]
        if not places:
            raise Malformed("`after` is the id of no item here.", code="invalid_value", param="after")
        listed = listed[places[0] + 1 :]
    page = listed[: asks.limit]
    return _encode(list_of(page, more=len(listed) > len(page)))


def read_page(query: str) -> Page:
    """Read which items a query asks for: `limit` (1 to 100), `order` (`desc` unless it is `asc`), `after` (an id).

    Raises:
        Malformed: one of them has a value that cannot be.
    """
    asks = {name: values[-1] for name, values in parse_qs(query).items()}
    limit, order = asks.get("limit", str(PAGE)), asks.get("order", "desc")
    if not limit.isdecimal() or not 1 <= int(limit[:4]) <= MOST:
        raise Malformed(f"`limit` must be 1 to {MOST}.", code="invalid_value", param="limit")
    if order not in ("asc", "desc"):
        raise Malformed("`order` must be asc or desc.", code="invalid_value", param="order")
    after = asks.get("after")
    if after is not None and not is_id(after):
        raise Malformed("`after` is the id of no item here.", code="invalid_value", param="after")
    return Page(int(limit), after, order == "desc")


def list_of(page: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """Return a page of items as it is told."""
    return {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": more,
    }


def _listed(turns: Sequence[Past]) -> Iterator[dict[str, Any]]:
    for index, turn in enumerate(turns):
        yield from _decode_items(turn.items)
        if index < len(turns) - 1:
            yield from _decode_said(turn.answer).output


def write_deleted(answer_id: str) -> bytes:
    """Return what tells that an answer was erased."""
    return _encode({"id": answer_id, "object": "response.deleted", "deleted": True})
