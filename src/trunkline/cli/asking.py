"""Who asks, and what: callers by name, requests from a file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import typer

from trunkline.app.ground import ADMIN_KEY
from trunkline.cli.considered import Considered
from trunkline.config.faults import nearest
from trunkline.dialects.dialect import Door
from trunkline.dialects.registry import DOORS, find_door
from trunkline.errors import TrunklineError
from trunkline.estate.estate import Estate
from trunkline.gateway.decode import decode
from trunkline.gateway.identify import secret_of
from trunkline.ids import KeyId
from trunkline.messages import Asked
from trunkline.tenancy.callers import Caller
from trunkline.tenancy.ring import KeyRing
from trunkline.wire.peer import Peer
from trunkline.wire.request import Request

PEER = "127.0.0.1"
SECRET = "tl-"  # noqa: S105 - how every secret begins


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """A request with what stands around its body."""

    body: msgspec.Raw
    path: str = ""
    headers: dict[str, str] = {}


def find_caller(considered: Considered, name: str) -> Caller:
    """Return the caller that a unit, a key's id or a key stands for.

    Raises:
        typer.BadParameter: it is none of them.
        errors.Unidentified: the key is revoked, expired, or not known.
    """
    estate = considered.estate
    if name in estate.units:
        return unit_caller(estate, name)
    if name.startswith(SECRET):
        return _ring(considered).identify(name.encode(), PEER, considered.now)
    for key in considered.keys.all() if considered.keys is not None else ():
        if key.id == name and key.unit in estate.units:
            use_cases = frozenset(key.use_cases) or None
            return Caller(key.id, key.unit, estate.units[key.unit].cost_centre, use_cases, key.person)
    near = nearest(name, estate.units)
    hint = f"did you mean {near}?" if near else "name a unit, a key's id as `trunkline key list` shows it, or a key"
    raise typer.BadParameter(f"there is no unit or key {name!r}: {hint}", param_hint="--caller")


def unit_caller(estate: Estate, unit: str) -> Caller:
    """Return a caller of a unit with a key that is bound to nothing."""
    return Caller(KeyId(""), unit, estate.units[unit].cost_centre)


class Asking:
    """One request from a file, as it would come in.

    Raises:
        typer.BadParameter: the file holds no request.
    """

    def __init__(self, file: Path) -> None:
        body = file.read_bytes()
        path, headers = "", dict[str, str]()
        try:
            envelope = msgspec.json.decode(body, type=Envelope)
            body, path, headers = bytes(envelope.body), envelope.path, envelope.headers
        except msgspec.DecodeError:
            pass  # the body alone; what is wrong with it the exchange says
        self.request = Request(
            Peer(PEER),
            "POST",
            path or _path_for(body),
            {name.lower().encode(): text.encode() for name, text in headers.items()},
            "1.1",
        )
        self.request.body = body
        door = find_door(self.request.path)
        if door is None:
            raise typer.BadParameter(
                f"no requests come to {self.request.path}: use {' or '.join(DOORS)}", param_hint="--request"
            )
        self.door: Door = door

    def decode(self) -> Asked:
        """Return what is asked.

        Raises:
            errors.Malformed: the body cannot be read.
        """
        return decode(self.door, self.request)

    def caller(self, considered: Considered) -> Caller:
        """Return who asks by the key in the headers; where there is none, the root unit.

        Raises:
            errors.Unidentified: the key is revoked, expired, or not known.
        """
        secret = secret_of(self.request)
        if not secret:
            return unit_caller(considered.estate, considered.estate.root)
        return _ring(considered).identify(secret, PEER, considered.now)


def _path_for(body: bytes) -> str:
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        fields = {}
    return "/v1/embeddings" if "input" in fields else "/v1/chat/completions"


def _ring(considered: Considered) -> KeyRing:
    if considered.keys is None:
        raise TrunklineError("a key is known only in a data folder: leave out --estate, or name a unit with --caller")
    return KeyRing(
        considered.keys.all(),
        pepper=considered.pepper,
        cost_centres={name: unit.cost_centre for name, unit in considered.estate.units.items()},
        root=considered.estate.root,
        admin=os.environ.get(ADMIN_KEY),
    )
