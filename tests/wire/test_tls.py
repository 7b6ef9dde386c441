"""TLS and proxies on the way to an upstream. See tls/README.md for the certificates."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.wire.raw import WITHIN, read_request, upstream

from trunkline.errors import Broke, Slow, Unreachable, Unstartable
from trunkline.wire.client import Origin, Pool, Proxies, Proxy, Times, trust

TLS = Path(__file__).parent / "tls"
CA = TLS / "ca.pem"
GET = b"GET /v1 HTTP/1.1\r\nhost: a\r\n\r\n"
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
PATIENT = Times(connect=WITHIN, first_byte=WITHIN, between=WITHIN, total=WITHIN)


async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_request(reader)
        writer.write(HELLO)


@asynccontextmanager
async def secured() -> AsyncIterator[int]:
    """An upstream with TLS; yields the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    async with upstream(hello, tls=context) as port:
        yield port


@asynccontextmanager
async def pooled(pool: Pool) -> AsyncIterator[Pool]:
    try:
        yield pool
    finally:
        await pool.close()


async def ask(pool: Pool, to: Origin) -> bytes:
    async with asyncio.timeout(WITHIN):
        return await (await pool.send(to, GET, PATIENT)).read()


async def test_an_authority_of_ones_own_is_trusted_and_the_connection_kept() -> None:
    async with secured() as port, pooled(Pool(tls=trust(CA))) as pool:
        to = Origin("localhost", port, tls=True)
        assert [await ask(pool, to) for _ in range(3)] == [b"hello"] * 3
        assert pool.status() == {to: (0, 1)}


async def test_an_authority_in_ssl_cert_file_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    async with secured() as port, pooled(Pool()) as pool:
        assert await ask(pool, Origin("localhost", port, tls=True)) == b"hello"


async def test_an_unknown_authority_is_refused_before_anything_is_sent() -> None:
    async with secured() as port, pooled(Pool()) as pool:
        with pytest.raises(Unreachable, match="certificate is not trusted") as caught:
            await ask(pool, Origin("localhost", port, tls=True))
        assert "SSL_CERT_FILE" in caught.value.inside


async def test_a_certificate_for_another_name_is_refused() -> None:
    async with secured() as port, pooled(Pool(tls=trust(CA))) as pool:
        with pytest.raises(Unreachable, match="certificate is not trusted"):
            await ask(pool, Origin("127.1", port, tls=True))  # the same address, not by a name it has a certificate for


async def test_an_upstream_without_tls_is_unreachable_over_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with upstream(plain) as port, pooled(Pool(tls=trust(CA))) as pool:
        with pytest.raises(Unreachable):
            await ask(pool, Origin("localhost", port, tls=True))


async def test_a_handshake_that_never_ends_counts_as_connecting() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with upstream(silent) as port, pooled(Pool(tls=trust(CA))) as pool:
        to = Origin("localhost", port, tls=True)
        with pytest.raises(Slow, match="connected to in time") as caught:
            await pool.send(to, GET, Times(0.05, WITHIN, WITHIN, WITHIN))
        assert not caught.value.sent
        assert pool.status() == {to: (0, 0)}


def test_verification_is_never_off() -> None:
    context = trust(CA)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        if path.name == "empty.pem":
            path.write_text("no certificate", "utf-8")
        with pytest.raises(Unstartable, match=path.name):
            trust(path)


class Forward:
    """A proxy: notes each head it gets, and tunnels everything to one port, or refuses."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not self.port:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.close()


async def test_tls_goes_through_a_tunnel_of_the_proxy_and_is_verified_end_to_end() -> None:
    async with secured() as port:
        forward = Forward(port)
        async with upstream(forward) as proxy_port:
            proxies = Proxies(tls=Proxy("127.0.0.1", proxy_port, b"Basic dTpw"))
            async with pooled(Pool(tls=trust(CA), proxies=proxies)) as pool:
                to = Origin("origin.test", 443, tls=True)
                assert [await ask(pool, to) for _ in range(2)] == [b"hello"] * 2
                assert pool.status() == {to: (0, 1)}
                with pytest.raises(Unreachable, match="certificate is not trusted"):
                    await ask(pool, Origin("other.test", 443, tls=True))
    assert forward.heads[0] == (
        b"CONNECT origin.test:443 HTTP/1.1\r\nhost: origin.test:443\r\nproxy-authorization: Basic dTpw\r\n\r\n"
    )


async def test_a_proxy_that_gives_no_tunnel_is_named_inside_and_nothing_was_sent() -> None:
    async with (
        upstream(Forward()) as proxy_port,
        pooled(Pool(proxies=Proxies(tls=Proxy("127.0.0.1", proxy_port)))) as pool,
    ):
        with pytest.raises(Unreachable, match="proxy") as caught:
            await ask(pool, Origin("origin.test", 443, tls=True))
        assert "407" in caught.value.inside
        assert not caught.value.sent


async def test_plain_http_asks_the_proxy_with_the_whole_url() -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(HELLO)

    async with upstream(note) as proxy_port:
        proxies = Proxies(plain=Proxy("127.0.0.1", proxy_port, b"Basic dTpw"))
        async with pooled(Pool(proxies=proxies)) as pool:
            assert await ask(pool, Origin("origin.test", 8080, tls=False)) == b"hello"
    assert seen == [b"GET http://origin.test:8080/v1 HTTP/1.1\r\nproxy-authorization: Basic dTpw\r\nhost: a\r\n\r\n"]


async def test_a_body_cut_within_tls_is_never_taken_for_whole() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HELLO[:-1])
        await writer.drain()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem", TLS / "server.key")
    async with upstream(cut, tls=context) as port, pooled(Pool(tls=trust(CA))) as pool:
        with pytest.raises(Broke):
            await ask(pool, Origin("localhost", port, tls=True))


def test_proxies_come_from_the_environment_lower_case_first() -> None:
    proxies = Proxies.from_environment(
        {
            "HTTPS_PROXY": "http://upper:1",
            "https_proxy": "http://us%40er:p%3Aw@lower:3128",
            "HTTP_PROXY": "bare:8080",
            "NO_PROXY": "corp.example, .inner.example,10.0.0.0/8,192.0.2.7,port.example:8443",
        }
    )
    assert proxies.tls == Proxy("lower", 3128, b"Basic " + base64.b64encode(b"us@er:p:w"))
    assert proxies.plain == Proxy("bare", 8080)
    assert Proxies.from_environment({}) == Proxies()
    assert "us@er" not in repr(proxies)


@pytest.mark.parametrize(
    ("host", "port", "direct"),
    [
        ("api.example", 443, False),
        ("corp.example", 443, True),
        ("a.corp.example", 443, True),
        ("notcorp.example", 443, False),
        ("a.inner.example", 443, True),
        ("CORP.example.", 443, True),
        ("10.1.2.3", 443, True),
        ("11.1.2.3", 443, False),
        ("192.0.2.7", 443, True),
        ("port.example", 8443, True),
        ("port.example", 443, False),
        ("localhost", 443, True),
        ("a.localhost", 443, True),
        ("127.0.0.9", 443, True),
        ("::1", 443, True),
        ("2001:db8::1", 443, False),
    ],
)
def test_no_proxy_and_loopback_are_reached_directly(host: str, port: int, direct: bool) -> None:
    proxies = Proxies.from_environment(
        {
            "HTTPS_PROXY": "http://proxy:1",
            "NO_PROXY": "corp.example, .inner.example,10.0.0.0/8,192.0.2.7,port.example:8443",
        }
    )
    assert (proxies.find(host, port, tls=True) is None) == direct
    assert proxies.find(host, port, tls=False) is None


def test_a_star_in_no_proxy_turns_proxies_off() -> None:
    assert Proxies.from_environment({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}).find("a", 1, tls=True) is None


@pytest.mark.parametrize("url", ["socks5://secret@p:1", "https://p:1", "http://", "http://p:notaport", "http://[x"])
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(Unstartable, match="HTTPS_PROXY") as caught:
        Proxies.from_environment({"HTTPS_PROXY": url})
    assert "secret" not in str(caught.value)
