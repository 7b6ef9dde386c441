"""Answers that the exchange keeps, and conversations that go on from them.

Source: OpenAI API reference, "Create a model response" (`store`, `previous_response_id`, `instructions`), "Get a model
response", "Delete a model response", "List input items".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from trunkline.dialects.dialect import Marks, Past, Wish
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.responses.codec import DOORS
from trunkline.errors import Malformed
from trunkline.messages import Asked, Thoughts
from trunkline.wire.sse import data_of

PATH: Final = next(iter(DOORS))
OURS: Final = "resp_kept_"
"""How the ids begin that the exchange mints: no provider's do, so neither is taken for the other."""
OURS_LENGTH: Final = len(OURS) + 32
ITEMS: Final = {"message": "msg", "function_call_output": "fco", "function_call": "fc", "reasoning": "rs"}
NAMELESS: Final = frozenset({"message", "function_call", "function_call_output"})
"""Items that mean the same without their id: it is left out where they are sent again."""
REFERENCE: Final = re.compile(rb"item_reference|\\u")
"""What stands in every list of items that refers to another; an escape may spell it."""
WHOLE: Final = frozenset({"completed", "incomplete"})
ENDS: Final = frozenset(f"response.{status}" for status in WHOLE)
PAGE: Final = 20
MOST: Final = 100

_encode = msgspec.json.Encoder().encode
_decode_flag = msgspec.json.Decoder(bool).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class _Kinds(msgspec.Struct, frozen=True):
    type: str | None = None


class _Said(msgspec.Struct, frozen=True):
    output: list[dict[str, Any]] = []


class _Event(msgspec.Struct, frozen=True):
    type: str = ""
    response: msgspec.Raw = ABSENT


_decode_kinds = msgspec.json.Decoder(list[_Kinds]).decode
_decode_said = msgspec.json.Decoder(_Said).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def mint() -> str:
    """Return an id that nobody can guess."""
    return OURS + secrets.token_hex(16)


def is_ours(answer_id: str) -> bool:
    """Whether the exchange may have minted it."""
    return answer_id.startswith(OURS) and len(answer_id) == OURS_LENGTH


def read_wish(asked: Asked) -> Wish:
    """Return what a request says of keeping and of what was kept.

    Raises:
        Malformed: a field has a wrong type, or two speak of what was said before.
    """
    fields = asked.fields
    before = _read(fields, "previous_response_id", _decode_text, "the id of an answer")
    conversation = _given(fields, "conversation")
    if before is not None and conversation:
        raise Malformed(
            "`previous_response_id` and `conversation` cannot be given together: both say what was said before.",
            code="invalid_value",
            param="previous_response_id",
        )
    elsewhere = "conversation" if conversation else _reference(fields.get("input", ABSENT))
    return Wish(_read(fields, "store", _decode_flag, "true or false"), before, elsewhere)


def _given(fields: dict[str, msgspec.Raw], name: str) -> bool:
    return name in fields and bytes(fields[name]) not in NOTHING


def _read(fields: dict[str, msgspec.Raw], name: str, decode: Any, what: str) -> Any:
    if not _given(fields, name):
        return None
    try:
        return decode(fields[name])
    except msgspec.ValidationError as error:
        raise Malformed(f"`{name}` must be {what}.", code="invalid_type", param=name) from error


def _reference(prompt: msgspec.Raw) -> str:
    seen = memoryview(prompt)  # Pictures in it are not copied for a look.
    if bytes(seen[:1]) != b"[" or REFERENCE.search(seen) is None:
        return ""
    try:
        kinds = _decode_kinds(prompt)
    except msgspec.ValidationError:
        return ""
    return next((f"input[{index}]" for index, one in enumerate(kinds) if one.type == "item_reference"), "")


def unkept(asked: Asked) -> Asked:
    """Return the request, so that its deployment keeps nothing."""
    if bytes(asked.fields.get("store", b"")) == b"false":
        return asked
    return msgspec.structs.replace(asked, fields=asked.fields | {"store": msgspec.Raw(b"false")})


def resume(asked: Asked, turns: Sequence[Past]) -> Asked:
    """Return the request as if all that was said in earlier turns stood in it, oldest first.

    Their instructions are not carried over. Thoughts go back only to the deployment that answered last, where that one
    thought them: nobody else could take them up again.
    """
    fields = {name: raw for name, raw in asked.fields.items() if name != "previous_response_id"}
    fields["store"] = msgspec.Raw(b"false")
    now = _own_items(asked)
    last = turns[-1].deployment if turns else ""
    said: list[dict[str, Any]] = []
    thought: list[dict[str, Any]] = []
    for turn in turns:
        for item in (*_decode_items(turn.items), *_decode_said(turn.answer).output):
            sent = _nameless(item)
            thinks = item.get("type") == "reasoning"
            if not thinks:
                said.append(sent)
            if not thinks or (turn.deployment == last and item.get("encrypted_content")):
                thought.append(sent)
    prompt, thoughts = _encode(said + now), None
    if len(thought) > len(said):
        thoughts = Thoughts(last, "input", _encode(thought + now))
    fields["input"] = msgspec.Raw(prompt)
    size = sum(len(name) + len(memoryview(raw)) for name, raw in fields.items()) + max(
        0, len(thoughts.value if thoughts is not None else b"") - len(prompt)
    )
    return msgspec.structs.replace(asked, fields=fields, thoughts=thoughts, prompt_bound=size)


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


def items_of(asked: Asked) -> bytes:
    """Return what a request asks by itself, as items with ids.

    Raises:
        Malformed: its input is no list of objects.
    """
    return _encode([_whole(item) for item in _own_items(asked)])


def _whole(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it is listed: with its type, its content as parts, and an id."""
    role, content = item.get("role"), item.get("content")
    if isinstance(role, str) and isinstance(content, str) and item.get("type", "message") == "message":
        item = item | _message(role, content)
    kind = str(item.get("type") or "message")
    return {"id": f"{ITEMS.get(kind, 'item')}_{secrets.token_hex(16)}", "type": kind} | item


def mark(answer: bytes, marks: Marks) -> bytes | None:
    """Return an answer under the exchange's own id; None for what is no answer that anybody could go on from."""
    try:
        fields = _decode_fields(answer)
        _decode_said(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if fields.get("status") is not None and _decode_status(fields["status"]) not in WHOLE:
        return None
    return _marked(fields, marks)


def _decode_status(raw: msgspec.Raw) -> str:
    try:
        return _decode_text(raw)
    except msgspec.ValidationError:
        return ""


def _marked(fields: dict[str, msgspec.Raw], marks: Marks) -> bytes:
    told = {"id": marks.id, "previous_response_id": marks.before, "store": marks.kept}
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
    fields["response"] = msgspec.Raw(_marked(inside, marks))
    return b"event: %b\ndata: %b\n\n" % (read.type.encode(), _encode(fields)), read.type in ENDS


def find(event: bytes) -> bytes:
    """Return the answer that the last event of a stream holds."""
    read = _decode_event(data_of(event))
    return bytes(read.response)


def check_query(query: str) -> None:
    """Refuse what a query for one answer asks and nobody here can do.

    Raises:
        Malformed: it is to be streamed again.
    """
    for name in ("stream", "starting_after"):
        if parse_qs(query).get(name, ["false"])[0] != "false":
            raise Malformed(
                f"`{name}` cannot be given here: a kept answer is told whole. Ask for it without.",
                code="not_supported",
                param=name,
            )


def write_items(turns: Sequence[Past], query: str) -> bytes:
    """Return a page of all that was asked and answered before an answer, its own request included.

    Args:
        turns: oldest first; of the last one, what was asked alone belongs to it.
        query: `limit` (1 to 100), `order` (`desc` unless it is `asc`), `after` (the id of an item).

    Raises:
        Malformed: one of them has a value that cannot be.
    """
    asks = {name: values[-1] for name, values in parse_qs(query).items()}
    limit, order, after = asks.get("limit", str(PAGE)), asks.get("order", "desc"), asks.get("after")
    if not limit.isdecimal() or not 1 <= int(limit[:4]) <= MOST:
        raise Malformed(f"`limit` must be 1 to {MOST}.", code="invalid_value", param="limit")
    if order not in ("asc", "desc"):
        raise Malformed("`order` must be asc or desc.", code="invalid_value", param="order")
    listed = list(_listed(turns))
    if order == "desc":
        listed.reverse()
    if after is not None:
        places = [index for index, item in enumerate(listed) if item.get("id") == after]
        if not places:
            raise Malformed("`after` is the id of no item here.", code="invalid_value", param="after")
        listed = listed[places[0] + 1 :]
    page = listed[: int(limit)]
    return _encode(
        {
            "object": "list",
            "data": page,
            "first_id": page[0].get("id") if page else None,
            "last_id": page[-1].get("id") if page else None,
            "has_more": len(listed) > len(page),
        }
    )


def _listed(turns: Sequence[Past]) -> Iterator[dict[str, Any]]:
    for index, turn in enumerate(turns):
        yield from _decode_items(turn.items)
        if index < len(turns) - 1:
            yield from _decode_said(turn.answer).output


def write_deleted(answer_id: str) -> bytes:
    """Return what tells that an answer was erased."""
    return _encode({"id": answer_id, "object": "response.deleted", "deleted": True})
