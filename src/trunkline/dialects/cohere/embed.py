"""Embeddings from and to the neutral form. Source: Cohere API reference, "Embed" of version 2."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.cohere.usage import read_usage
from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.neutral import Uncarried
from trunkline.dialects.taking import Taking
from trunkline.dialects.vectors import Texts, Vectors
from trunkline.errors import Garbled
from trunkline.messages import Asked

PURPOSE: Final = "search_document"
"""What vectors are made for where the caller's dialect has no word for it: Cohere must be told."""
NUMBERS: Final = "float"
OURS_ALONE: Final = "nothing in the other dialect means the same"


class ByType(msgspec.Struct, frozen=True):
    """The vectors, as numbers."""

    float: tuple[msgspec.Raw, ...]


class Embeddings(msgspec.Struct, frozen=True):
    """The answer."""

    embeddings: ByType
    meta: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(Embeddings).decode
_encode = msgspec.json.Encoder().encode


def read_request(asked: Asked) -> Texts:
    """Read a request of a caller.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    body.ignore("model")
    inputs = tuple(body.texts("texts") or ())
    dimensions = body.whole("output_dimension")
    if set(body.texts("embedding_types") or ()) - {NUMBERS}:
        lost.append(Uncarried("embedding_types", "vectors come as numbers with a point alone"))
    if bytes(asked.fields.get("input_type", b"")) == _encode(PURPOSE):
        body.ignore("input_type")
    for hint in ("input_type", "truncate", "priority"):
        body.lose(hint, OURS_ALONE, hint=True)
    for name in ("images", "inputs"):
        body.lose(name, "only text has vectors there")
    body.leave(OURS_ALONE)
    return Texts(inputs, dimensions, tuple(lost))


def write_request(texts: Texts, target: Target) -> Written:
    """Write a request for an upstream: vectors of documents that are to be found."""
    body: dict[str, Any] = {
        "model": target.upstream_model,
        "texts": list(texts.inputs),
        "input_type": PURPOSE,
        "embedding_types": [NUMBERS],
    }
    if texts.dimensions is not None:
        body["output_dimension"] = texts.dimensions
    return Written(_encode(body), texts.uncarried)


def read_answer(body: bytes) -> Vectors:
    """Read an answer.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("the answer holds no embeddings", inside=f"no embeddings: {error}") from error
    return Vectors("", read.embeddings.float, read_usage(read.meta))


def write_answer(asked: Asked, answer: Vectors) -> bytes:
    """Write an answer for its caller."""
    used = answer.usage.input if answer.usage is not None else 0
    return _encode(
        {
            "id": "",
            "texts": asked.fields.get("texts", ()),
            "embeddings": {NUMBERS: answer.vectors},
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": used}},
            "response_type": "embeddings_by_type",
        }
    )
