"""Embeddings from and to the neutral form. Source: Gemini API reference, "Embeddings"."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.gemini.names import named
from trunkline.dialects.gemini.proto import Proto
from trunkline.dialects.gemini.usage import read_usage, write_usage
from trunkline.dialects.neutral import Uncarried
from trunkline.dialects.vectors import Texts, Vectors
from trunkline.errors import Garbled
from trunkline.messages import Asked

ONE: Final = "embedContent"
"""Stands among the fields of a request for one vector, whose body is then the only item of `requests`."""
OURS_ALONE: Final = "nothing in the other dialect means the same"


class Embedding(msgspec.Struct, frozen=True):
    """One of the vectors."""

    values: msgspec.Raw


class Embeddings(msgspec.Struct, frozen=True, rename="camel"):
    """The answer, of either method."""

    embeddings: tuple[Embedding, ...] | None = None
    embedding: Embedding | None = None
    usage_metadata: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(Embeddings).decode
_encode = msgspec.json.Encoder().encode


def read_request(asked: Asked) -> Texts:
    """Read a request of a caller.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Proto(dict(asked.fields), "", lost)
    body.ignore(ONE, "model")
    inputs: list[str] = []
    sizes: set[int | None] = set()
    for one in body.inners("requests"):
        one.ignore("model")
        inputs.append(_text(one))
        sizes.add(one.whole("outputDimensionality"))
        one.leave(OURS_ALONE)
    body.leave(OURS_ALONE)
    if len(sizes) > 1:
        lost.append(Uncarried("outputDimensionality", "all vectors of one request have the same number of dimensions"))
    return Texts(tuple(inputs), next(iter(sizes), None), tuple(lost))


def _text(request: Proto) -> str:
    content = request.inner("content")
    if content is None:
        return ""
    content.ignore("role")
    texts = []
    for part in content.inners("parts"):
        texts.append(part.text("text") or "")
        part.leave("only text has vectors there")
    content.leave(OURS_ALONE)
    return "\n".join(texts)


def write_request(texts: Texts, target: Target) -> Written:
    """Write a request for an upstream."""
    size = {} if texts.dimensions is None else {"outputDimensionality": texts.dimensions}
    model = named(target.upstream_model)
    requests = [{"model": model, "content": {"parts": [{"text": text}]}, **size} for text in texts.inputs]
    return Written(_encode({"requests": requests}), texts.uncarried)


def read_answer(body: bytes) -> Vectors:
    """Read an answer.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        read = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled("the answer holds no embeddings", inside=f"no embeddings: {error}") from error
    found = read.embeddings or (() if read.embedding is None else (read.embedding,))
    return Vectors("", tuple(one.values for one in found), read_usage(read.usage_metadata))


def write_answer(asked: Asked, answer: Vectors) -> bytes:
    """Write an answer for its caller."""
    vectors = [{"values": vector} for vector in answer.vectors]
    written: dict[str, Any] = {"embedding": vectors[0]} if ONE in asked.fields and vectors else {"embeddings": vectors}
    if answer.usage is not None:
        used = write_usage(answer.usage)
        written["usageMetadata"] = {name: used[name] for name in ("promptTokenCount", "totalTokenCount")}
    return _encode(written)
