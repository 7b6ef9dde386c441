from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, TypeVar

import msgspec
import yaml

from trunkline.errors import Unstartable

T = TypeVar("T")

# The quick parser knows YAML 1.1: nothing in the catalogue means anything else by it than by YAML 1.2.
_Loader: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_folder(folder: str, kind: type[T]) -> tuple[T, ...]:
    """Read every YAML file of one of the catalogue's folders, in the order of their names, into `kind`.

    Raises:
        Unstartable: a file is no YAML, or holds what `kind` does not know; the message names the file.
    """
    entries = sorted((files("trunkline.catalog") / folder).iterdir(), key=lambda entry: entry.name)
    return tuple(_read(entry, f"{folder}/{entry.name}", kind) for entry in entries if entry.name.endswith(".yaml"))


def read_file(name: str, kind: type[T]) -> T:
    """Read one YAML file of the catalogue into `kind`.

    Raises:
        Unstartable: it is no YAML, or holds what `kind` does not know; the message names the file.
    """
    return _read(files("trunkline.catalog") / name, name, kind)


def _read(entry: Traversable, name: str, kind: type[T]) -> T:
    try:
        return msgspec.convert(yaml.load(entry.read_bytes(), _Loader), kind)  # noqa: S506 - either is a safe one
    except (yaml.YAMLError, msgspec.ValidationError) as fault:
        raise Unstartable(
            f"the catalogue's {name} cannot be read: {fault}; reinstall trunkline or mend the file"
        ) from fault
