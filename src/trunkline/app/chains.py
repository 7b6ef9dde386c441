"""Clouds' own chains of credentials: by which library each hands out tokens. A new one is a function and its line here.

The libraries are optional and take a while to import: each is loaded when an estate names its chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol

import msgspec


class Fetched(msgspec.Struct, frozen=True):
    """A token as its library gives it, with its end and when to ask for the next one, in seconds since 1970."""

    token: str
    expires: float
    renew: float | None = None

    def __repr__(self) -> str:
        return f"Fetched(expires={self.expires})"


class Chain(Protocol):
    """Hands out tokens."""

    def fetch(self, scope: str) -> Fetched:
        """Return a token for a scope; blocks, and raises whatever the library raises."""
        ...


class NoLibrary(Exception):
    """The library of a chain is not installed; says what to install."""


Open = Callable[[], Chain]


class _Entra:
    """Microsoft Entra ID: managed identity, workload identity, service principal, or whoever is signed in.

    Source: Azure SDK for Python, "DefaultAzureCredential".
    """

    def __init__(self) -> None:
        try:
            library = import_module("azure.identity")
        except ModuleNotFoundError as missing:
            raise NoLibrary("install `trunkline[azure]`, which brings azure-identity") from missing
        self._credential = library.DefaultAzureCredential()

    def fetch(self, scope: str) -> Fetched:
        info = self._credential.get_token_info(scope)
        return Fetched(info.token, info.expires_on, info.refresh_on)


CHAINS: Final[Mapping[str, Open]] = MappingProxyType({"azure-default": _Entra})
