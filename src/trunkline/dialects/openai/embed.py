"""Embeddings from and to the neutral form. Source: OpenAI API reference, "Create embeddings"."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, Final

import msgspec

from trunkline.dialects.dialect import Target, Written
from trunkline.dialects.fields import ABSENT
from trunkline.dialects.neutral import Uncarried
from trunkline.dialects.openai.usage import read_usage
from trunkline.dialects.taking import Taking, is_text, read_text
from trunkline.dialects.vectors import Texts, Vectors
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Asked

PACKED: Final = msgspec.Raw(b'"base64"')
FLOAT: Final = 4
"""Bytes of a number in a packed vector, little end first."""


class Embedding(msgspec.Struct, frozen=True):
    """One of the vectors."""

    embedding: msgspec.Raw
    index: int = 0


class Embeddings(msgspec.Struct, frozen=True):
    """The answer."""

    data: list[Embedding]
    model: str = ""
    usage: msgspec.Raw = ABSENT


_decode = msgspec.json.Decoder(Embeddings).decode
_decode_texts = msgspec.json.Decoder(list[str]).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_numbers = msgspec.json.Decoder(list[float]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def read_request(asked: Asked) -> Texts:
    """Read a request of a caller.

    Raises:
        Malformed: something in it is not as the reference has it.
    """
    lost: list[Uncarried] = []
    body = Taking(dict(asked.fields), "", lost)
    body.ignore("model", "encoding_format", "user")
    raw = body.raw("input")
    inputs: tuple[str, ...] = ()
    if raw is None:
        raise Malformed("`input` is missing.", code="missing_field", param="input")
    if is_text(raw):
        inputs = (read_text(raw, "input"),)
    else:
        try:
            inputs = tuple(_decode_texts(raw))
        except msgspec.DecodeError:
            lost.append(Uncarried("input", "tokens mean nothing to another model; send text"))
    dimensions = body.whole("dimensions")
    body.leave("nothing in the other dialect means the same")
    return Texts(inputs, dimensions, tuple(lost))


def write_request(texts: Texts, target: Target) -> Written:
    """Write a request for an upstream."""
    body: dict[str, Any] = {"model": target.upstream_model, "input": list(texts.inputs), "encoding_format": "float"}
    if texts.dimensions is not None:
        body["dimensions"] = texts.dimensions
    return Written(_encode(body), texts.uncarried)


def read_answer(body: bytes) -> Vectors:
    """Read an answer.

    Raises:
        Garbled: it is not what the reference describes.
    """
    try:
        read = _decode(body)
        vectors = tuple(_unpacked(one.embedding) for one in sorted(read.data, key=_index))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, struct.error, binascii.Error) as error:
        raise Garbled("the answer holds no embeddings", inside=f"no embeddings: {error}") from error
    return Vectors(read.model, vectors, read_usage(read.usage))


def write_answer(asked: Asked, answer: Vectors) -> bytes:
    """Write an answer for its caller, packed where that was asked for."""
    packed = asked.fields.get("encoding_format") == PACKED
    data = [
        {"object": "embedding", "embedding": _packed(vector) if packed else vector, "index": index}
        for index, vector in enumerate(answer.vectors)
    ]
    used = answer.usage.input if answer.usage is not None else 0
    usage = {"prompt_tokens": used, "total_tokens": used}
    # Mistral's SDK wants an `id`, too.
    return _encode({"id": "", "object": "list", "data": data, "model": answer.model or asked.model, "usage": usage})


def add_id(body: bytes) -> bytes:
    """Return an answer with an `id`, which Mistral's SDK does not do without; nothing else of it is written anew.

    Source: Mistral API reference, "Embeddings".
    """
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return body if not fields or "id" in fields else body.replace(b"{", b'{"id":"",', 1)


def _index(embedding: Embedding) -> int:
    return embedding.index


def _packed(vector: msgspec.Raw) -> str:
    numbers = _decode_numbers(vector)
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _unpacked(vector: msgspec.Raw) -> msgspec.Raw:
    """A vector as an array, whichever way it came."""
    if bytes(memoryview(vector)[:1]) != b'"':
        return vector
    packed = base64.b64decode(_decode_text(vector), validate=True)
    return msgspec.Raw(_encode(list(struct.unpack(f"<{len(packed) // FLOAT}f", packed))))
