"""Callers that are told by their client certificate, on the running product."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange, write
from tests.path.raw import HELLO
from tests.upstreams.scripted import Upstream

TLS = Path(__file__).parents[1] / "wire" / "tls"
BATCH = {"unit": "finance", "uri": "spiffe://acme/finance/batch"}
PORTAL = {"unit": "marketing", "dns": "portal.ACME.example", "use_cases": ["drafts"]}


def shown(certificate: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(TLS / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(TLS / f"{certificate}.pem", TLS / f"{certificate}.key")
    return context


def declared(vendor: Upstream, **certificates: dict[str, Any]) -> dict[str, Any]:
    pools = {"chat": [["gpt"]], "drafts": [["gpt"]]}
    return estate({"gpt": deployment(vendor.url)}, pools, certificates=certificates)


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    """An exchange that takes certificates of clients, and keys."""
    with exchange(
        tmp_path_factory.mktemp("mutual"),
        declared(vendor_of_module, batch=BATCH, portal=PORTAL),
        tls=shown(None),
        TRUNKLINE_TLS_CERT=str(TLS / "server.pem"),
        TRUNKLINE_TLS_KEY=str(TLS / "server.key"),
        TRUNKLINE_TLS_CLIENT_CA=str(TLS / "people-ca.pem"),
        TRUNKLINE_TLS_CLIENT_OPTIONAL="1",
    ) as running:
        yield running


def ask(
    running: Exchange, certificate: str | None, *, key: str | None = None, model: str = "chat", customer: str = ""
) -> tuple[int, str]:
    """Return status and error code of a call."""
    connection = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=30, context=shown(certificate))
    headers = {"x-trunkline-end-customer": customer} if customer else {}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(HELLO | {"model": model}), headers)
        with connection.getresponse() as answer:
            body = json.loads(answer.read())
            return answer.status, body.get("error", {}).get("code", "")
    finally:
        connection.close()


def test_a_certificate_pays_from_the_cost_centre_of_its_unit(mutual: Exchange) -> None:
    assert ask(mutual, "batch", customer="by-certificate") == (200, "")
    (row,) = mutual.attempts_of("by-certificate", 1)
    assert (row["unit"], row["cost_centre"], row["key"]) == ("finance", "CC-1200", "cert_batch")


def test_a_certificate_may_name_only_its_use_cases(mutual: Exchange) -> None:
    assert ask(mutual, "portal", model="drafts") == (200, "")
    assert ask(mutual, "portal", model="chat")[0] in {403, 404}


def test_without_a_certificate_that_is_declared_a_key_is_asked_for(mutual: Exchange, vendor: Upstream) -> None:
    for certificate in (None, "unknown"):
        assert ask(mutual, certificate) == (401, "missing_api_key")
    assert vendor.received == []


def test_a_key_counts_before_a_certificate_and_a_wrong_one_is_not_made_good_by_it(mutual: Exchange) -> None:
    key = mutual.key("acme")
    assert ask(mutual, "batch", key=key, customer="by-key") == (200, "")
    (row,) = mutual.attempts_of("by-key", 1)
    assert row["unit"] == "acme"
    assert ask(mutual, "batch", key="tl-nonsense") == (401, "invalid_api_key")


def test_a_certificate_taken_out_of_the_estate_is_void_on_connections_that_stand(
    tmp_path: Path, vendor_of_module: Upstream
) -> None:
    with exchange(
        tmp_path,
        declared(vendor_of_module, batch=BATCH),
        tls=shown("batch"),
        TRUNKLINE_TLS_CERT=str(TLS / "server.pem"),
        TRUNKLINE_TLS_KEY=str(TLS / "server.key"),
        TRUNKLINE_TLS_CLIENT_CA=str(TLS / "people-ca.pem"),
    ) as running:
        standing = http.client.HTTPSConnection("127.0.0.1", running.port, timeout=30, context=shown("batch"))

        def status() -> int:
            standing.request("GET", "/v1/models")
            with standing.getresponse() as answer:
                answer.read()
                return answer.status

        assert status() == 200
        write(tmp_path, declared(vendor_of_module))
        end = time.monotonic() + 30
        while status() != 401:
            assert time.monotonic() < end, "the certificate still stands for a caller"
            time.sleep(0.05)
        standing.close()
