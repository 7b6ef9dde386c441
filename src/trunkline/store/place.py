"""Where the store of a data folder is: in the folder itself, or where the exchange was last told to keep it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from trunkline import errors
from trunkline.config.environment import kind_of_reference
from trunkline.store.folder import DataFolder

VARIABLE = "TRUNKLINE_STORE"
FILE = "store"
_HIDDEN = "***"


def place_of(folder: DataFolder, given: str | None = None) -> str:
    """Return the path, URL or reference of the store: what is given, else what the folder remembers, else its own.

    Raises:
        errors.Unstartable: the folder remembers a URL without its password, which is never kept.
    """
    if given:
        return _absolute(given)
    remembered = _remembered(folder)
    if remembered is None:
        return str(folder.store_path)
    if _HIDDEN in remembered:
        raise errors.Unstartable(
            f"the store of {folder.path} is {remembered}, and its password is kept nowhere: give --store or set "
            f"{VARIABLE}, best with a reference such as postgresql://USER:env:NAME@HOST/DATABASE"
        )
    return remembered


def shown(folder: DataFolder, given: str | None = None) -> str:
    """Return the same for people: without a password."""
    return _without_secret(_absolute(given)) if given else _remembered(folder) or str(folder.store_path)


def is_here(url: URL, environment: Mapping[str, str]) -> bool:
    """Whether a database is on this machine: a file, or a server that its URL names by loopback address or socket.

    Where libpq would look up by itself where the server is, that is not known here.
    """
    if url.get_backend_name() == "sqlite":
        return True
    named = [url.host or ""] if "host" not in url.query else []
    for word in ("host", "hostaddr"):
        given = url.query.get(word, ())
        named += [given] if isinstance(given, str) else given
    elsewhere = "service" in url.query or any(environment.get(name) for name in ("PGHOSTADDR", "PGSERVICE"))
    return not elsewhere and all(_is_loopback(host.strip()) for hosts in named for host in hosts.split(","))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def remember(folder: DataFolder, place: str) -> None:
    """Have the folder remember its store, so that later starts and commands need not be told. Keeps no password.

    Raises:
        errors.DataFolderUnusable: it cannot be written down.
    """
    path = folder.path / FILE
    if place == str(folder.store_path):
        path.unlink(missing_ok=True)
        return
    kept = _without_secret(place)
    if kept == _remembered(folder):
        return
    try:
        aside, name = tempfile.mkstemp(dir=folder.path, prefix=".store-")
        with os.fdopen(aside, "w") as file:
            file.write(kept + "\n")
        Path(name).rename(path)
    except OSError as fault:
        message = f"{path} cannot be written: {fault.strerror}. Free some space, or choose another folder with --data"
        raise errors.DataFolderUnusable(message) from fault


def _remembered(folder: DataFolder) -> str | None:
    try:
        return (folder.path / FILE).read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as fault:
        message = f"{folder.path / FILE} cannot be read: {fault.strerror}. Give its owner access"
        raise errors.DataFolderUnusable(message) from fault


def _absolute(place: str) -> str:
    kind = kind_of_reference(place)
    if kind == "file":
        return f"file:{Path(place[5:].strip()).expanduser().absolute()}"
    return place if kind == "env" or "://" in place else str(Path(place).expanduser().absolute())


def _without_secret(place: str) -> str:
    if "://" not in place:
        return place
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):
        return place
    if url.password is None or kind_of_reference(str(url.password)) in {"env", "file"}:
        return place
    return url.render_as_string(hide_password=True)
