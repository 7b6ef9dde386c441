"""Conversations with ids of their own. Source: OpenAI API reference, "Conversations"."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.clock import NANOS_PER_SECOND
from trunkline.dialects.bodies import read_body
from trunkline.dialects.fields import ABSENT, NOTHING
from trunkline.dialects.keeping import Dialogues, Single
from trunkline.dialects.responses.kept import REFERS, is_id, list_of, read_page, whole
from trunkline.errors import Malformed

PATH: Final = "/v1/conversations"
PREFIX: Final = "conv_kept_"
"""How the ids begin that the exchange mints: no provider's do."""
OURS: Final = re.compile(PREFIX + "[0-9a-f]{32}")
MOST_PAIRS, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512
"""How many metadata one has, and how many characters each name and value."""

_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_item = msgspec.json.Decoder(dict[str, Any]).decode
_decode_pairs = msgspec.json.Decoder(dict[str, str]).decode


def mint() -> str:
    """Return an id that nobody can guess."""
    return PREFIX + secrets.token_hex(16)


def is_ours(dialogue_id: str) -> bool:
    """Whether the exchange may have minted it."""
    return OURS.fullmatch(dialogue_id) is not None


def read_new(body: bytes) -> tuple[Sequence[Single], bytes]:
    """Return the items and the metadata of a new one, both of which may be left out, as may the body.

    Raises:
        Malformed: the body is no JSON object, or a field is not as the reference has it.
    """
    fields = _fields(body or b"{}")
    return _items(fields.get("items", ABSENT)), _metadata(fields.get("metadata", ABSENT))


def read_metadata(body: bytes) -> bytes:
    """Return the metadata that one is to have.

    Raises:
        Malformed: as `read_new`; or they are missing.
    """
    fields = _fields(body)
    if "metadata" not in fields:
        raise Malformed("The request has no `metadata`.", code="missing_field", param="metadata")
    return _metadata(fields["metadata"])


def read_items(body: bytes) -> Sequence[Single]:
    """Return the items that one is to get.

    Raises:
        Malformed: as `read_new`; or there are none.
    """
    items = _items(_fields(body).get("items", ABSENT))
    if not items:
        raise Malformed("The request has no `items`.", code="missing_field", param="items")
    return items


def _fields(body: bytes) -> dict[str, msgspec.Raw]:
    return read_body(body, lambda _, fields: fields)


def _items(raw: msgspec.Raw) -> Sequence[Single]:
    if bytes(memoryview(raw)[:5]) in NOTHING:
        return ()
    try:
        items = _decode_items(raw)
    except msgspec.ValidationError as error:
        raise Malformed(
            "`items` must be a list of items, each an object.", code="invalid_type", param="items"
        ) from error
    found: dict[str, Single] = {}
    for index, item in enumerate(items):
        where = f"items[{index}]"
        if item.get("type") is None and item.get("role") is None:
            raise Malformed(f"`{where}.type` is missing: say what the item is.", code="missing_field", param=where)
        if item.get("type") == REFERS:
            raise Malformed(f"`{where}`: put in the item itself, not a reference.", code="not_supported", param=where)
        made = whole(item)
        if not is_id(made["id"]) or made["id"] in found:
            raise Malformed(
                f"`{where}.id` must be letters, digits, `_`, `-`, `.` or `:`, and no other item's.",
                code="invalid_value",
                param=where,
            )
        found[made["id"]] = Single(made["id"], _encode(made))
    return tuple(found.values())


def _metadata(raw: msgspec.Raw) -> bytes:
    if bytes(memoryview(raw)[:5]) in NOTHING:
        return b""
    try:
        pairs = _decode_pairs(raw)
    except msgspec.ValidationError as error:
        raise Malformed("`metadata` must be an object of texts.", code="invalid_type", param="metadata") from error
    if len(pairs) > MOST_PAIRS or any(
        len(name) > LONGEST_NAME or len(value) > LONGEST_VALUE for name, value in pairs.items()
    ):
        raise Malformed(
            f"`metadata` takes {MOST_PAIRS} pairs: names of {LONGEST_NAME} characters, values of {LONGEST_VALUE}.",
            code="invalid_value",
            param="metadata",
        )
    return _encode(pairs) if pairs else b""


def write(dialogue_id: str, made_at: int, metadata: bytes) -> bytes:
    """Return one as it is told."""
    return _encode(
        {
            "id": dialogue_id,
            "object": "conversation",
            "created_at": made_at // NANOS_PER_SECOND,
            "metadata": msgspec.Raw(metadata or b"{}"),
        }
    )


def write_page(items: Sequence[Single], most: int) -> bytes:
    """Return items as a list, so many at most; one more says that there are more."""
    return _encode(list_of([_decode_item(one.content) for one in items[:most]], more=len(items) > most))


def write_deleted(dialogue_id: str) -> bytes:
    """Return what tells that one was erased."""
    return _encode({"id": dialogue_id, "object": "conversation.deleted", "deleted": True})


DIALOGUES: Final = Dialogues(
    path=PATH,
    items="items",
    mint=mint,
    is_ours=is_ours,
    is_item=is_id,
    read_new=read_new,
    read_metadata=read_metadata,
    read_items=read_items,
    read_page=read_page,
    write=write,
    write_page=write_page,
    write_deleted=write_deleted,
)
