"""Embeddings of each dialect from and to the neutral form."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects.test_pairs import cut, damaged
from tests.dialects.ways import There

from trunkline.dialects.dialect import EmbedCodec
from trunkline.dialects.gemini.dialect import GEMINI
from trunkline.dialects.openai.dialect import OPENAI
from trunkline.dialects.openai.embed import add_id
from trunkline.dialects.registry import ALL
from trunkline.dialects.vectors import Texts, Vectors
from trunkline.errors import Garbled, Malformed
from trunkline.messages import Asked, Operation, Usage

GOLDEN = Path(__file__).parents[1] / "golden"
EMBEDDERS = {dialect.name: dialect.embeddings for dialect in ALL if dialect.embeddings is not None}
DOORS = {"gemini": "/v1beta/models/m:batchEmbedContents"}
"""Of dialects whose paths name the model: where vectors are asked for."""
EMPTY = Asked(Operation.EMBEDDINGS, "openai", "m", {})


def asked(name: str, body: bytes) -> Asked:
    dialect = {one.name: one for one in ALL}[name]
    door = next((path for path, what in dialect.doors.items() if what is Operation.EMBEDDINGS), DOORS.get(name, ""))
    return dialect.decode(Operation.EMBEDDINGS, body, door, "")


@pytest.mark.parametrize("name", sorted(EMBEDDERS))
@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=3), dimensions=st.none() | st.integers(1, 4096))
def test_texts_come_out_as_they_went_in(name: str, texts: list[str], dimensions: int | None) -> None:
    codec = EMBEDDERS[name]
    written = codec.write_request(Texts(tuple(texts), dimensions), There())
    assert written.uncarried == ()
    assert codec.read_request(asked(name, written.body)) == Texts(tuple(texts), dimensions)


@pytest.mark.parametrize("name", sorted(EMBEDDERS))
def test_vectors_come_out_with_every_digit(name: str) -> None:
    codec: EmbedCodec = EMBEDDERS[name]
    vectors = (msgspec.Raw(b"[0.10000000000000000555,1]"), msgspec.Raw(b"[-2.5e-7]"))
    answer = codec.read_answer(codec.write_answer(EMPTY, Vectors("m", vectors, Usage(input=7))))
    assert [bytes(one) for one in answer.vectors] == [bytes(one) for one in vectors]
    assert answer.usage == Usage(input=7)


def test_golden_vectors_of_gemini_reach_openai_packed_where_that_is_asked_for() -> None:
    assert GEMINI.embeddings is not None
    assert OPENAI.embeddings is not None
    answer = GEMINI.embeddings.read_answer((GOLDEN / "gemini" / "embed_answer.json").read_bytes())
    wanted = asked("openai", b'{"model":"m","input":["a"],"encoding_format":"base64"}')
    (one,) = json.loads(OPENAI.embeddings.write_answer(wanted, answer))["data"]
    numbers = struct.unpack("<4f", base64.b64decode(one["embedding"]))
    assert numbers == pytest.approx([-0.022374554, -0.004560777, 0.5, 0.25])
    packed = json.dumps({"data": [one], "usage": None}).encode()
    (again,) = OPENAI.embeddings.read_answer(packed).vectors
    assert json.loads(bytes(again)) == pytest.approx(list(numbers))


def test_vectors_are_told_in_the_order_of_their_texts() -> None:
    assert OPENAI.embeddings is not None
    data = [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]
    answer = OPENAI.embeddings.read_answer(json.dumps({"data": data}).encode())
    assert [bytes(one) for one in answer.vectors] == [b"[1]", b"[2]"]


@pytest.mark.parametrize("name", ["embed_request", "embed_request_one"])
def test_golden_requests_of_gemini_are_sent_on_with_the_upstreams_model(name: str) -> None:
    body = (GOLDEN / "gemini" / f"{name}.json").read_bytes()
    door = "/v1beta/models/m:" + ("embedContent" if name.endswith("one") else "batchEmbedContents")
    read = GEMINI.decode(Operation.EMBEDDINGS, body, door, "")
    wanted = json.loads(body.replace(b"gemini-embedding-001", b"there"))
    assert json.loads(GEMINI.encode(read, "there", None)) == wanted
    assert GEMINI.path(read, "there") == door.removeprefix("/v1beta").replace("/m:", "/there:")


@pytest.mark.parametrize(
    ("request_", "lost"),
    [
        ({"taskType": "X", "content": {"parts": [{"text": "a"}]}}, ["requests[0].taskType"]),
        ({"content": {"parts": [{"inlineData": {}}]}}, ["requests[0].content.parts[0].inlineData"]),
        ({"content": {"parts": {"text": "a"}, "role": "user"}}, []),
    ],
)
def test_what_only_gemini_has_is_named(request_: Any, lost: list[str]) -> None:
    assert GEMINI.embeddings is not None
    texts = GEMINI.embeddings.read_request(asked("gemini", json.dumps({"requests": [request_]}).encode()))
    assert [one.field for one in texts.uncarried] == lost


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai", b'{"model":"m","input":7}'),
        ("gemini", b'{"requests":7}'),
        ("gemini", b"{}"),
        ("gemini", b'{"requests":[7]}'),
        ("gemini", b'{"requests":[{"content":7}]}'),
    ],
)
def test_what_is_no_request_is_refused_or_named(name: str, body: bytes) -> None:
    try:
        read = EMBEDDERS[name].read_request(asked(name, body))
    except Malformed:
        return
    assert read.uncarried


@pytest.mark.parametrize("name", sorted(EMBEDDERS))
@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":7}', b'{"data":[{"embedding":"?"}]}', b'{"embeddings":[1]}'])
def test_what_is_no_answer_is_told_apart_or_empty(name: str, body: bytes) -> None:
    with contextlib.suppress(Garbled):
        assert EMBEDDERS[name].read_answer(body).vectors == ()


FIXTURES = {
    "openai": ("embeddings_request.json", "embeddings.json"),
    "gemini": ("embed_request.json", "embed_answer.json"),
    "cohere": ("embed_request.json", "embed_answer.json"),
}


@pytest.mark.parametrize("name", sorted(EMBEDDERS))
@given(data=st.data())
def test_a_damaged_request_or_answer_is_read_or_told_apart(name: str, data: st.DataObject) -> None:
    codec, (request, answer) = EMBEDDERS[name], FIXTURES[name]
    raw = (GOLDEN / name / request).read_bytes()
    with contextlib.suppress(Malformed):
        body = data.draw(st.one_of(damaged(json.loads(raw)).map(lambda one: json.dumps(one).encode()), cut(raw)))
        texts = codec.read_request(asked(name, body))
        for other in EMBEDDERS.values():
            other.write_request(texts, There())
    raw = (GOLDEN / name / answer).read_bytes()
    with contextlib.suppress(Garbled):
        body = data.draw(st.one_of(damaged(json.loads(raw)).map(lambda one: json.dumps(one).encode()), cut(raw)))
        vectors = codec.read_answer(body)
        for other in EMBEDDERS.values():
            other.write_answer(EMPTY, vectors)
        {one.name: one for one in ALL}[name].read_answer(asked(name, (GOLDEN / name / request).read_bytes()), body)


def test_an_id_is_put_into_an_answer_that_has_none_and_nothing_else_is_written_anew() -> None:
    assert add_id(b' {"data" :[1.50],"model":"m"}') == b' {"id":"","data" :[1.50],"model":"m"}'
    for as_it_is in (b'{"x":1,"id":"a"}', b"{}", b"[]", b"no JSON", b"\xff{"):
        assert add_id(as_it_is) == as_it_is
