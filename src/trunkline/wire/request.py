"""A request as it came, and the rules its head must keep."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from trunkline.wire.limits import Limits
from trunkline.wire.peer import Peer

METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
ONLY_ONCE = frozenset((b"host", b"content-length", b"authorization"))
OUR_FAULT = frozenset((500, 503))
VERSIONS = frozenset(("1.0", "1.1"))
TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
# The parser also takes a bare LF before the line, several spaces within it, and the lines of RTSP and ICE.
REQUEST_LINE = re.compile(rb"(?:\r\n)*(?=[A-Z])[A-Z-]+ [^ \r\n]+ HTTP/([0-9]\.[0-9])\r\n")
OTHER_LINE = re.compile(rb"(?:\r\n)*[A-Z-]+ [^ \r\n]+(?: [A-Z]+/[0-9]\.[0-9])?\r\n")
# What tells the target, in letters at which the parser cannot stumble: so it does not depend on how it was read.
LINE_BEGUN = re.compile(rb"(?:\r\n)*(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[0-9A-Za-z._~:/?=&%+,@-]*)[ \r]")
HOST = re.compile(rb"(?:[0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


class Refused(Exception):
    """A request that breaks HTTP or a limit; the connection answers with it and closes."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Request:
    """One request, whole.

    Attributes:
        path: the target without its query, as it came: not percent-decoded. `*` for the whole server.
        query: what stands behind the first `?`, as it came.
        headers: names in lower case; fields that came several times are joined by ", ".
        peer: the client: its address, and its certificate where it showed one.
    """

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "peer", "query", "version")

    def __init__(self, peer: Peer, method: str, url: str, headers: dict[bytes, bytes], version: str) -> None:
        self.peer = peer
        self.method = method
        self.path, _, self.query = url.partition("?")
        self.headers = headers
        self.version = version
        self.keep_alive = False
        self.body = b""


def version_of(head: bytes, at: int) -> tuple[str, int]:
    """Return the version that the request line at `at` names, and where the line ends.

    Sources: RFC 9112 sections 2.2 (empty lines before it are skipped) and 3.

    Raises:
        Refused: it is not a request line of HTTP to the letter.
    """
    match = REQUEST_LINE.match(head, at)
    if match is not None:
        return match[1].decode(), match.end()
    if OTHER_LINE.match(head, at):
        raise _other_version()
    raise Refused(400, "bad_request", "the request line must be a method, a target and a version, one space apart")


def check_head(method: bytes, url: bytes, headers: dict[bytes, bytes], version: str, limits: Limits) -> str:
    """Hold a head against the rules that the parser leaves open; return the target in origin form.

    Sources: RFC 9112 sections 2.3, 3.2, 6.1 and 7; RFC 9110 sections 7.2 and 10.1.1.

    Raises:
        Refused: with the status and code to answer.
    """
    if version not in VERSIONS:
        raise _other_version()
    if method not in METHODS:
        raise Refused(501, "method_not_implemented", "this method is not implemented; see the API's documentation")
    if len(url) > limits.request_line:
        raise Refused(414, "uri_too_long", f"the request line is longer than {limits.request_line} bytes")
    host = headers.get(b"host")
    if host is None:
        if version == "1.1":
            raise Refused(400, "bad_request", "an HTTP/1.1 request needs a Host header")
    elif not fits_host(host):
        raise Refused(400, "bad_request", "the Host header must name one host, and a port where it is needed")
    if b"transfer-encoding" in headers and (
        version == "1.0" or headers[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in headers
    ):
        raise Refused(400, "bad_request", "send the body with Content-Length, or with `Transfer-Encoding: chunked`")
    if b"expect" in headers and headers[b"expect"].lower() != b"100-continue":
        raise Refused(417, "expectation_failed", "only `Expect: 100-continue` can be met")
    if not url.startswith(b"/") or b"#" in url:
        url = _origin_form(method, url, host)
    return url.decode("ascii")


@lru_cache(maxsize=1024)
def fits_host(host: bytes) -> bool:
    """Whether a Host header names one host, with or without a port. Source: RFC 9110 section 7.2."""
    return HOST.fullmatch(host) is not None


def _origin_form(method: bytes, url: bytes, host: bytes | None) -> bytes:
    scheme, _, rest = url.partition(b"://")
    if scheme.lower() in {b"http", b"https"} and b"#" not in rest:
        authority, slash, path = rest.partition(b"/")
        if host is None or authority.lower() != host.lower():
            raise Refused(400, "bad_request", "the request target names another host than the Host header")
        return slash + path if slash else b"/"
    if url == b"*" and method == b"OPTIONS":
        return url
    raise Refused(400, "bad_request", "the request target must be a path that begins with /")


def too_large(limits: Limits) -> Refused:
    """The refusal of a body beyond its bound."""
    return Refused(413, "request_too_large", f"the body is larger than {limits.body} bytes")


def head_too_large(limits: Limits) -> Refused:
    """The refusal of a head beyond its bound."""
    return Refused(431, "headers_too_large", f"the head is larger than {limits.header_bytes} bytes")


def _other_version() -> Refused:
    return Refused(505, "http_version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here")


def body_of(status: int, code: str, message: str) -> bytes:
    """Write an error in the shape that OpenAI's clients read."""
    kind = "server_error" if status in OUR_FAULT else "invalid_request_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": code, "param": None}})
