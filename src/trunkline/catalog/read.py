from __future__ import annotations

from importlib.resources import files
from typing import TypeVar

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from trunkline.errors import Unstartable

T = TypeVar("T")


def read_folder(folder: str, kind: type[T]) -> tuple[T, ...]:
    """Read every YAML file of one of the catalogue's folders, in the order of their names, into `kind`.

    Raises:
        Unstartable: a file is no YAML, or holds what `kind` does not know; the message names the file.
    """
    entries = sorted((files("trunkline.catalog") / folder).iterdir(), key=lambda entry: entry.name)
    reader = YAML(typ="safe")
    read = []
    for entry in entries:
        if not entry.name.endswith(".yaml"):
            continue
        try:
            read.append(msgspec.convert(reader.load(entry.read_bytes()), kind))
        except (YAMLError, msgspec.ValidationError) as fault:
            raise Unstartable(
                f"the catalogue's {folder}/{entry.name} cannot be read: {fault}; reinstall trunkline or mend the file"
            ) from fault
    return tuple(read)
