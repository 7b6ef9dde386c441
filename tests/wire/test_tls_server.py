"""The server's end over TLS. See tls/README.md for the certificates."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.wire.raw import WITHIN, Dial, echo, until

from trunkline.errors import Unstartable
from trunkline.wire.server import Certificate, Certificates, Limits, Reply, Request, Server

TLS = Path(__file__).parent / "tls"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = Limits(body_time=0.2)  # the server looks at its files several times within the shortest of its times


def client(*authorities: str, certificate: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in authorities:
        context.load_verify_locations(TLS / name)
    if certificate is not None:
        context.load_cert_chain(TLS / f"{certificate}.pem", TLS / f"{certificate}.key")
    return context


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """The first certificate, where a second may be put over it."""
    place(tmp_path, "server")
    return tmp_path / "tls.pem", tmp_path / "tls.key"


def place(folder: Path, name: str) -> None:
    for ending in ("key", "pem"):
        new = shutil.copy(TLS / f"{name}.{ending}", folder / f"new.{ending}")
        Path(new).replace(folder / f"tls.{ending}")


@asynccontextmanager
async def serving(tls: Certificates, limits: Limits | None = None) -> AsyncIterator[Server]:
    server = await Server.start(echo, limits=limits, tls=tls)
    try:
        yield server
    finally:
        await server.close(0)


async def dial(port: int, context: ssl.SSLContext) -> Dial:
    return Dial(*await asyncio.open_connection("127.0.0.1", port, ssl=context))


async def ask(port: int, context: ssl.SSLContext) -> int:
    connection = await dial(port, context)
    try:
        connection.write(GET)
        return (await connection.answer()).status
    finally:
        await connection.close()


async def test_requests_come_over_tls_and_the_connection_is_kept(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files)) as server:
        connection = await dial(server.port, client("ca.pem"))
        for _ in range(3):
            connection.write(GET + GET)
            assert [(await connection.answer()).status for _ in range(2)] == [200, 200]
        assert connection.writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
        await connection.close()


async def test_what_breaks_http_is_refused_over_tls_too(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files)) as server:
        connection = await dial(server.port, client("ca.pem"))
        connection.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert (await connection.answer()).status == 400
        assert await connection.rest() == b""
        await connection.close()


async def test_plain_http_gets_nothing_and_harms_nobody(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files)) as server:
        plain = await Dial.to(server.port)
        plain.write(GET)
        with suppress(ConnectionResetError):
            assert b"HTTP" not in await plain.rest()
        await plain.close()
        assert await ask(server.port, client("ca.pem")) == 200


async def test_tls_1_1_is_refused(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files)) as server:
        old = client("ca.pem")
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(server.port, old)


async def test_a_new_certificate_is_taken_under_load_and_no_request_fails(files: tuple[Path, Path]) -> None:
    swapped, done = asyncio.Event(), asyncio.Event()
    either = client("ca.pem", "other-ca.pem")
    answered = [0, 0]

    async def load(port: int) -> None:
        kept = await dial(port, either)
        while not done.is_set():
            kept.write(GET)
            assert (await kept.answer()).status == 200
            assert await ask(port, either) == 200
            answered[swapped.is_set()] += 1
        await kept.close()

    tls = Certificates(*files)
    async with serving(tls, QUICK) as server:
        old, new = client("ca.pem"), client("other-ca.pem")
        assert await ask(server.port, old) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(server.port, new)
        loading = [asyncio.create_task(load(server.port)) for _ in range(4)]
        await until(lambda: answered[0] > 8)
        before = tls._current
        place(files[0].parent, "other")
        await until(lambda: tls._current is not before)
        swapped.set()
        await until(lambda: answered[1] > 8)
        assert await ask(server.port, new) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(server.port, old)
        done.set()
        await asyncio.wait_for(asyncio.gather(*loading), WITHIN)


@pytest.mark.parametrize("broken", [b"", b"no PEM", None])
async def test_files_that_do_not_fit_change_nothing_and_the_log_says_why(
    files: tuple[Path, Path], broken: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    tls = Certificates(*files)
    async with serving(tls, QUICK) as server:
        with caplog.at_level(logging.WARNING, "trunkline.wire"):
            if broken is None:
                shutil.copy(TLS / "other.pem", files[0])  # with the key still to come
            else:
                files[0].write_bytes(broken)
            await until(lambda: "the old one stays" in caplog.text)
        assert await ask(server.port, client("ca.pem")) == 200
        shutil.copy(TLS / "other.pem", files[0])
        shutil.copy(TLS / "other.key", files[1])
        before = tls._current
        await until(lambda: tls._current is not before)
        assert await ask(server.port, client("other-ca.pem")) == 200


async def test_a_client_without_the_certificate_that_is_asked_for_gets_no_answer(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files, TLS / "other-ca.pem")) as server:
        assert await ask(server.port, client("ca.pem", certificate="client")) == 200
        for stranger in (None, "server"):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await ask(server.port, client("ca.pem", certificate=stranger))
        assert await ask(server.port, client("ca.pem", certificate="client")) == 200


@pytest.mark.parametrize(
    ("certificate", "key", "authorities", "message"),
    [
        ("missing.pem", "server.key", None, "No such file or directory; both must be PEM"),
        ("server.pem", "other.key", None, "both must be PEM files, the key without a password"),
        ("README.md", "server.key", None, "both must be PEM"),
        ("server.pem", "server.key", "README.md", "clients' authorities from"),
    ],
)
def test_a_start_with_wrong_files_says_which_and_what_to_do(
    certificate: str, key: str, authorities: str | None, message: str
) -> None:
    with pytest.raises(Unstartable, match=message):
        Certificates(TLS / certificate, TLS / key, TLS / authorities if authorities else None)


async def certificates_seen(tls: Certificates, context: ssl.SSLContext) -> list[Certificate | None]:
    """What the handler is told of a client's certificate, at two requests over one connection."""
    seen: list[Certificate | None] = []

    async def keep(request: Request, reply: Reply) -> None:
        seen.append(request.peer.certificate)
        reply.send(200, b"", b"")

    server = await Server.start(keep, tls=tls)
    try:
        connection = await dial(server.port, context)
        try:
            for _ in range(2):
                connection.write(GET)
                assert (await connection.answer()).status == 200
        finally:
            await connection.close()
    finally:
        await server.close(0)
    return seen


async def test_a_request_comes_with_what_its_client_s_certificate_says(files: tuple[Path, Path]) -> None:
    tls = Certificates(*files, TLS / "people-ca.pem")
    first, second = await certificates_seen(tls, client("ca.pem", certificate="portal"))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert((TLS / "portal.pem").read_text())).hexdigest()
    assert first == Certificate(digest, "portal", ("spiffe://acme/marketing/portal",), ("portal.acme.example",))
    assert second is first
    (named, _) = await certificates_seen(tls, client("ca.pem", certificate="batch"))
    assert named is not None
    assert named.emails == ("batch@acme.example",)


async def test_where_certificates_are_optional_a_wrong_one_is_refused_all_the_same(files: tuple[Path, Path]) -> None:
    tls = Certificates(*files, TLS / "people-ca.pem", optional=True)
    assert await certificates_seen(tls, client("ca.pem")) == [None, None]
    assert None not in await certificates_seen(tls, client("ca.pem", certificate="batch"))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await certificates_seen(tls, client("ca.pem", certificate="client"))


async def test_nothing_is_told_where_no_certificates_are_asked_for(files: tuple[Path, Path]) -> None:
    assert await certificates_seen(Certificates(*files), client("ca.pem", certificate="batch")) == [None, None]


async def test_a_certificate_on_the_revocation_list_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes((TLS / "people-ca.pem").read_bytes())
    assert await certificates_seen(Certificates(*files, authorities), client("ca.pem", certificate="revoked"))
    authorities.write_bytes((TLS / "people-ca.pem").read_bytes() + (TLS / "people-crl.pem").read_bytes())
    assert await certificates_seen(Certificates(*files, authorities), client("ca.pem", certificate="batch"))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await certificates_seen(Certificates(*files, authorities), client("ca.pem", certificate="revoked"))


async def test_no_session_outlives_the_certificate_that_it_was_verified_by(files: tuple[Path, Path]) -> None:
    async with serving(Certificates(*files, TLS / "people-ca.pem")) as server:
        context = client("ca.pem", certificate="batch")
        connection = await dial(server.port, context)
        connection.write(GET)
        assert (await connection.answer()).status == 200
        secured: ssl.SSLObject = connection.writer.get_extra_info("ssl_object")
        assert secured.session is None or not secured.session.has_ticket
        await connection.close()
