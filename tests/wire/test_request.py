from __future__ import annotations

import pytest
from tests.wire.raw import dialled, echo

from trunkline.wire.server import Limits

H = b"Host: a\r\n"


async def test_a_bad_request_behind_good_ones_is_refused_in_its_turn() -> None:
    async with dialled(echo) as dial:
        dial.write(b"GET /1 HTTP/1.1\r\n" + H + b"\r\n" + b"GET /2 HTTP/1.1\r\n" + H + b"\r\n" + b"nonsense\r\n\r\n")
        assert [(await dial.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await dial.rest() == b""


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://a/a?b=c", b"/a"), (b"HTTP://a", b"/"), (b"/", b"/"), (b"/?a", b"/"), (b"//x", b"//x"), (b"*", b"*")],
)
async def test_every_form_of_target_gives_its_path(target: bytes, path: bytes) -> None:
    async with dialled(echo) as dial:
        dial.write(b"OPTIONS %b HTTP/1.1\r\n%b\r\n" % (target, H))
        assert (await dial.answer()).headers[b"x-path"] == path


async def test_a_head_of_just_the_allowed_size_passes_with_a_large_body_behind_it() -> None:
    async with dialled(echo, Limits(header_bytes=1000, body=100_000)) as dial:
        body = b"x" * 50_000
        dial.write(b"POST / HTTP/1.1\r\n" + H + b"X: " + b"a" * 900 + b"\r\nContent-Length: 50000\r\n\r\n" + body)
        assert (await dial.answer()).body == body
