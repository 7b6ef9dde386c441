"""The front door: which path is what, and the border where every error becomes an answer."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.dialects.dialect import Dialect, Door
from trunkline.dialects.registry import (
    DIALOGUES,
    DOORS,
    LISTED,
    dialect_of,
    find_dialogues,
    find_door,
    find_kept,
    listed_above,
)
from trunkline.errors import (
    JournalFailed,
    Late,
    Malformed,
    NotSpoken,
    Refusal,
    TooLarge,
    Unavailable,
    Unidentified,
    Unknown,
    WrongMethod,
)
from trunkline.gateway.cross_origin import CrossOrigin
from trunkline.gateway.desk import Desk
from trunkline.gateway.exchange import Exchange
from trunkline.gateway.headers import log_fields, own_headers, refusal_headers
from trunkline.gateway.identify import identify
from trunkline.gateway.kept import KeptDesk, methods_behind
from trunkline.gateway.models import list_models, show_model
from trunkline.gateway.path import answer
from trunkline.gateway.refuse import unrecorded
from trunkline.gateway.relay import CLIENT_CLOSED
from trunkline.ids import RequestId
from trunkline.wire.request import body_of
from trunkline.wire.server import Refused, Reply, Request

SERVER_ERROR: Final = 500
WIRE_REFUSALS: Final[Mapping[int, type[Refusal]]] = MappingProxyType(
    {kind.status: kind for kind in (Malformed, Late, TooLarge, Unavailable)}
)
OF_DOORS: Final = b"POST, OPTIONS"
OF_OWN: Final = b"GET, HEAD, OPTIONS"
OF_ALL: Final = b"GET, HEAD, POST, DELETE, OPTIONS"
# No key is asked for here, and nothing said that needs one.
OPEN_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/")

PATHS: Final = (*DOORS, *(path for path, _, _ in DIALOGUES), *LISTED, *OPEN_PATHS)

log = logging.getLogger("trunkline.gateway")


class Gateway:
    """Answers every request on the data path; the handler of the wire's server."""

    __slots__ = ("_cross_origin", "_exchange")

    def __init__(self, exchange: Exchange, cross_origin: CrossOrigin | None = None) -> None:
        self._exchange = exchange
        self._cross_origin = cross_origin

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Answer one request, whatever happens."""
        exchange = self._exchange
        request_id = exchange.ids.mint()
        door = find_door(request.path)
        if self._cross_origin is not None:
            reply.also(self._cross_origin.lines(request))
        try:
            if request.method == "OPTIONS":
                self._tell_options(request_id, request, reply)
                return
            if door is None and (found := find_kept(request.path)) is not None:
                await self._answer_kept(KeptDesk(exchange, found[1], found[2], request), request_id, request, reply)
                return
            if door is None and (named := find_dialogues(request.path)) is not None:
                await self._answer_dialogue(Desk(exchange, named, request), request_id, request, reply)
                return
            if door is None:
                await self._answer_itself(request_id, request, reply)
                return
            if request.method != "POST":
                reply.also(b"allow: %b\r\n" % OF_DOORS)
                raise WrongMethod(f"{request.path} takes POST, not {request.method}.")
            await answer(exchange, door, request_id, request, reply)
        except Refusal as refusal:
            self._refuse(request_id, _dialect(door, request), refusal, reply)
        except JournalFailed as error:
            self._refuse(request_id, _dialect(door, request), unrecorded(error), reply)
        finally:
            if request.path not in OPEN_PATHS:
                exchange.metrics.request(reply.status or CLIENT_CLOSED, door.operation if door is not None else "")

    def _refuse(self, request_id: RequestId, dialect: Dialect, refusal: Refusal, reply: Reply) -> None:
        self._exchange.metrics.refused(refusal.code, refusal.status)
        told = {} if refusal.told is None else log_fields(refusal.told)
        said = {"code": refusal.code, "status": refusal.status, "inside": refusal.inside}
        log.log(_weight(refusal), "refused", extra={"request_id": request_id, **said, **told})
        reply.send(refusal.status, refusal_headers(request_id, refusal, dialect), dialect.refusal_body(refusal))

    def _tell_options(self, request_id: RequestId, request: Request, reply: Reply) -> None:
        path = request.path
        methods = OF_ALL if path == "*" else OF_DOORS if find_door(path) is not None else OF_OWN
        methods = OF_ALL if find_dialogues(path) is not None else methods
        if (kept := find_kept(path)) is not None:
            methods = ", ".join((*methods_behind(kept[2].partition("/")[2]), "OPTIONS")).encode()
        if methods is OF_OWN and not _answers(path):
            raise _no_such_path(path)
        lines = b"allow: %b\r\nx-trunkline-request-id: %b\r\n" % (methods, request_id.encode())
        if self._cross_origin is not None:
            lines += self._cross_origin.preflight(request, methods)
        reply.send(204, lines, b"")

    async def _answer_kept(self, desk: KeptDesk, request_id: RequestId, request: Request, reply: Reply) -> None:
        _check_method(desk.methods, request, reply)
        await desk.answer(request_id, reply)

    async def _answer_dialogue(self, desk: Desk, request_id: RequestId, request: Request, reply: Reply) -> None:
        _check_method(desk.methods, request, reply)
        reply.send(200, own_headers(request_id), await desk.answer())

    async def _answer_itself(self, request_id: RequestId, request: Request, reply: Reply) -> None:
        exchange, path = self._exchange, request.path
        if not _answers(path):
            raise _no_such_path(path)
        if request.method not in {"GET", "HEAD"}:
            reply.also(b"allow: %b\r\n" % OF_OWN)
            raise WrongMethod(f"{path} takes GET, not {request.method}.")
        status, content_type, body = 200, "application/json", b""
        match path:
            case "/healthz":
                body = b'{"status":"ok"}'
            case "/readyz":
                readiness = exchange.readiness()
                status, body = (200 if readiness.ready else 503), msgspec.json.encode(readiness)
            case "/metrics":
                accept = request.headers.get(b"accept", b"").decode("latin-1")
                body, content_type = await exchange.scrape(accept)
            case "/":
                body = msgspec.json.encode({"name": "Trunkline", "paths": [*PATHS]})
            case _:
                body = await self._models(request)
        reply.send(status, own_headers(request_id, content_type), body)

    async def _models(self, request: Request) -> bytes:
        exchange = self._exchange
        caller = await identify(exchange, request)
        shape = dialect_of(request.path, request.headers).models
        above = listed_above(request.path)
        if shape is None or above is None:
            raise _no_such_path(request.path)
        name = request.path.removeprefix(above).removeprefix("/")
        return show_model(exchange, caller, shape, name) if name else list_models(exchange, caller, shape)


def _check_method(methods: tuple[str, ...], request: Request, reply: Reply) -> None:
    if request.method not in methods:
        reply.also(b"allow: %b, OPTIONS\r\n" % ", ".join(methods).encode())
        raise WrongMethod(f"{request.path[:200]} takes {' or '.join(methods)}, not {request.method}.")


def _answers(path: str) -> bool:
    """Whether the exchange itself answers there."""
    return path in OPEN_PATHS or listed_above(path) is not None


def _dialect(door: Door | None, request: Request) -> Dialect:
    if door is not None:
        return door.dialect
    found = find_kept(request.path) or find_dialogues(request.path)
    return dialect_of(request.path, request.headers) if found is None else found[0]


def refusal_body(request: Request | None, refused: Refused) -> bytes:
    """Write what the wire refused in the dialect of the request, or in OpenAI's where too little of it is known."""
    if request is None:
        return body_of(refused.status, refused.code, refused.message)
    kind = WIRE_REFUSALS.get(refused.status)
    if kind is None:
        refusal: Refusal = NotSpoken(refused.status, refused.message, refused.code)
    else:
        refusal = kind(refused.message, code=refused.code)
    return _dialect(find_door(request.path), request).refusal_body(refusal)


def _weight(refusal: Refusal) -> int:
    """Failed log-ins weigh least: whoever tries keys must not fill the log."""
    if isinstance(refusal, Unidentified):
        return logging.DEBUG
    return logging.WARNING if refusal.status >= SERVER_ERROR else logging.INFO


def _no_such_path(path: str) -> Unknown:
    near = difflib.get_close_matches(path, PATHS, n=1)
    hint = f" Did you mean {near[0]}?" if near else " The paths are listed at /."
    return Unknown(f"There is no path {path[:200]} here.{hint}", code="path_not_found")
