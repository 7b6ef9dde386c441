"""Keys of a running exchange: made, restricted, replaced and revoked by the command, in force without a restart."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.path.exchange import Exchange
from tests.path.raw import HELLO, ask
from tests.upstreams.scripted import Upstream


def made(running: Exchange, *options: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(running.command("key", "create", "--unit", "finance", *options, "--json"))
    return row


def await_refusal(running: Exchange, secret: str) -> None:
    """Ask until the key is refused."""
    until = time.monotonic() + 20
    while ask(running.port, secret, HELLO).status != 401:
        assert time.monotonic() < until, "the key is not refused"
        time.sleep(0.01)


def test_a_new_key_works_at_once(running: Exchange, vendor: Upstream) -> None:
    assert ask(running.port, running.key("finance"), HELLO).status == 200


def test_a_revoked_key_is_refused(running: Exchange, vendor: Upstream) -> None:
    key = made(running)
    assert ask(running.port, key["key"], HELLO).status == 200
    running.command("key", "revoke", key["id"])
    await_refusal(running, key["key"])


def test_a_revoked_key_writes_nothing(running: Exchange, vendor: Upstream) -> None:
    key = made(running)
    running.command("key", "revoke", key["id"])
    await_refusal(running, key["key"])
    vendor.reset()
    ask(running.port, key["key"], HELLO)
    assert not vendor.received


def test_an_expired_key_is_refused_and_says_since_when(running: Exchange, vendor: Upstream) -> None:
    key = made(running, "--expires", "2s")
    await_refusal(running, key["key"])
    got = ask(running.port, key["key"], HELLO)
    assert got.error is not None
    assert (got.status, got.error["code"]) == (401, "expired_api_key")
    assert f"expired on {key['expires_at'][:10]}" in got.error["message"]


def test_a_key_of_one_use_case_opens_no_other(running: Exchange, vendor: Upstream) -> None:
    key = made(running, "--use-case", "chat")["key"]
    assert ask(running.port, key, HELLO).status == 200
    assert ask(running.port, key, HELLO | {"model": "direct"}).status == 403


def test_a_key_of_another_network_is_refused(running: Exchange, vendor: Upstream) -> None:
    assert ask(running.port, made(running, "--from", "192.0.2.0/24")["key"], HELLO).status in {401, 403}
    assert ask(running.port, made(running, "--from", "127.0.0.0/8")["key"], HELLO).status == 200


def test_a_rotated_key_and_its_successor_both_work_within_the_grace_period(running: Exchange, vendor: Upstream) -> None:
    old = made(running)
    new = json.loads(running.command("key", "rotate", old["id"], "--grace", "1h", "--json"))
    assert ask(running.port, old["key"], HELLO).status == 200
    assert ask(running.port, new["key"], HELLO).status == 200


def test_no_secret_is_ever_listed(running: Exchange) -> None:
    key = made(running)
    listed = running.command("key", "list", "--json")
    assert key["id"] in listed
    assert key["key"] not in listed
