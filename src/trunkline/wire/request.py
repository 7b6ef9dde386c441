"""A request as it came, and the rules its head must keep."""

from __future__ import annotations

import msgspec

from trunkline.wire.limits import Limits

METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
ONLY_ONCE = frozenset((b"host", b"content-length", b"authorization"))
OUR_FAULT = frozenset((500, 503))
VERSIONS = frozenset(("1.0", "1.1"))


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
        peer: the client's IP address.
    """

    __slots__ = ("body", "headers", "keep_alive", "method", "path", "peer", "query", "version")

    def __init__(self, peer: str, method: str, url: str, headers: dict[bytes, bytes], version: str) -> None:
        self.peer = peer
        self.method = method
        self.path, _, self.query = url.partition("?")
        self.headers = headers
        self.version = version
        self.keep_alive = False
        self.body = b""


def check_head(method: bytes, url: bytes, headers: dict[bytes, bytes], version: str, limits: Limits) -> str:
    """Hold a head against the rules that the parser leaves open; return the target in origin form.

    Sources: RFC 9112 sections 2.3, 3.2, 6.1 and 7; RFC 9110 sections 7.2 and 10.1.1.

    Raises:
        Refused: with the status and code to answer.
    """
    if version not in VERSIONS:
        raise Refused(505, "http_version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here")
    if method not in METHODS:
        raise Refused(501, "method_not_implemented", "this method is not implemented; see the API's documentation")
    if len(url) > limits.request_line:
        raise Refused(414, "uri_too_long", f"the request line is longer than {limits.request_line} bytes")
    if version == "1.1" and not headers.get(b"host"):
        raise Refused(400, "bad_request", "an HTTP/1.1 request needs a Host header")
    if b"transfer-encoding" in headers and (
        version == "1.0" or headers[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in headers
    ):
        raise Refused(400, "bad_request", "send the body with Content-Length, or with `Transfer-Encoding: chunked`")
    if b"content-length" in headers and int(headers[b"content-length"]) > limits.body:
        raise too_large(limits)
    if b"expect" in headers and headers[b"expect"].lower() != b"100-continue":
        raise Refused(417, "expectation_failed", "only `Expect: 100-continue` can be met")
    if not url.startswith(b"/") or b"#" in url:
        url = _origin_form(url)
    return url.decode("ascii")


def _origin_form(url: bytes) -> bytes:
    scheme, _, rest = url.partition(b"://")
    if scheme.lower() in {b"http", b"https"} and b"#" not in rest:
        authority, slash, path = rest.partition(b"/")
        if authority and b"?" not in authority:
            return slash + path if slash else b"/"
    if url == b"*":
        return url
    raise Refused(400, "bad_request", "the request target must be a path that begins with /")


def without_upgrade(method: bytes, url: bytes, headers: dict[bytes, bytes]) -> bytes:
    """Write a head anew, without the wish for another protocol."""
    closing = b"close" in headers.get(b"connection", b"").lower()
    kept = {name: value for name, value in headers.items() if name not in {b"connection", b"upgrade"}}
    kept[b"connection"] = b"close" if closing else b"keep-alive"
    lines = b"".join(b"%b: %b\r\n" % field for field in kept.items())
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, lines)


def too_large(limits: Limits) -> Refused:
    """The refusal of a body beyond its bound."""
    return Refused(413, "request_too_large", f"the body is larger than {limits.body} bytes")


def head_too_large(limits: Limits) -> Refused:
    """The refusal of a head beyond its bound."""
    return Refused(431, "headers_too_large", f"the head is larger than {limits.header_bytes} bytes")


def body_of(status: int, code: str, message: str) -> bytes:
    """Write an error in the shape that OpenAI's clients read."""
    kind = "server_error" if status in OUR_FAULT else "invalid_request_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": code, "param": None}})
