"""Several exchanges, each with a data folder of its own, on one Postgres."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.postgres.sharing import Shared
from tests.upstreams.script import SERVER_ERROR
from tests.upstreams.scripted import Upstream, in_thread

WITHIN = 3.0


@pytest.fixture(scope="module")
def url(postgres: Shared) -> Iterator[str]:
    with postgres.database(empty=True) as url:
        yield url


@pytest.fixture(scope="module")
def frail_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, frail_of_module: Upstream, url: str
) -> Iterator[tuple[Exchange, Exchange]]:
    """Two exchanges; the store is given to the first as a URL, to the second by reference, and it has two workers."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    gpt, frail = deployment(vendor_of_module.url), deployment(frail_of_module.url)
    declared = estate({"gpt": gpt, "frail": frail}, {"chat": [["gpt"]], "careful": [["frail"], ["gpt"]]})
    with (
        exchange(one, declared, "--no-engine", TRUNKLINE_STORE=url) as first,
        exchange(two, declared, "--no-engine", "--store", "env:SHARED", "--workers", "2", SHARED=url) as second,
    ):
        yield first, second


def call(running: Exchange, key: str, customer: str, model: str = "chat") -> None:
    with openai.OpenAI(api_key=key, base_url=running.url, max_retries=0, timeout=30) as sdk:
        sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], user=customer)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_the_second_to_start_makes_no_second_first_key(both: tuple[Exchange, Exchange]) -> None:
    first, second = both
    labels = [row["label"] for row in first.rows("key", "list")]
    assert labels.count("first key") == 1
    assert first.rows("key", "list") == second.rows("key", "list")


def test_a_key_made_at_one_works_at_the_other_and_ends_at_both(both: tuple[Exchange, Exchange]) -> None:
    first, second = both
    key = first.key("finance")
    assert second.get("/v1/models", key)[0] == 200  # An unknown key is looked up at once.
    made = next(row for row in second.rows("key", "list") if key.startswith(row["prefix"]))
    second.command("key", "revoke", made["id"])
    for running in both:
        assert within(WITHIN, lambda running=running: running.get("/v1/models", key)[0] == 401)  # type: ignore[misc]


def test_calls_at_each_are_in_the_one_ledger(both: tuple[Exchange, Exchange], vendor_of_module: Upstream) -> None:
    first, second = both
    vendor_of_module.reset()
    key = first.key("marketing")
    for number in range(3):
        call(first, key, "at-one")
        call(second, key, f"at-two-{number}")
    of_one = first.attempts_of("at-one", 3)
    assert len({row["journal"] for row in of_one}) == 1
    for number in range(3):
        assert first.attempts_of(f"at-two-{number}", 1)[0]["unit"] == "marketing"

    def sums(running: Exchange) -> list[dict[str, Any]]:
        return running.rows("ledger", "sum", "--by", "unit")

    assert within(WITHIN, lambda: sums(second)[0]["calls"] == 6)
    assert sums(first) == sums(second)


def test_what_one_finds_of_a_deployment_the_other_hears_at_all_its_workers(
    both: tuple[Exchange, Exchange], frail_of_module: Upstream
) -> None:
    first, second = both
    key = first.key("finance")
    frail_of_module.default = SERVER_ERROR

    def heard(running: Exchange) -> float:
        line = r'^trunkline_upstream_events_total\{deployment="frail",event="heard"\} (\S+)$'
        return sum(map(float, re.findall(line, running.get("/metrics")[1], re.MULTILINE)))

    for _ in range(5):
        call(first, key, "finder", "careful")
    asked = len(frail_of_module.received)
    assert asked == 5
    assert within(WITHIN, lambda: heard(second) == 2)
    assert heard(first) == 0
    assert len(frail_of_module.received) == asked


def test_a_claim_verified_at_one_reaches_the_other(both: tuple[Exchange, Exchange]) -> None:
    first, second = both
    key = first.key("finance")

    call(second, key, "before-the-claim")
    first.command("claims", "verify", "gpt.training_use", "--value", "always", "--evidence", "New terms", "--by", "ada")

    def refused() -> bool:
        try:
            call(second, key, "after-the-claim")
        except openai.PermissionDeniedError:
            return True
        return False

    assert within(WITHIN, refused)


def test_what_the_folder_remembers_of_the_store_holds_no_password(both: tuple[Exchange, Exchange], url: str) -> None:
    first, second = both
    assert (second.folder / "store").read_text() == "env:SHARED\n"
    kept = (first.folder / "store").read_text()
    assert kept.startswith("postgresql://postgres:***@127.0.0.1:")
    password = url.split(":")[2].partition("@")[0]
    for path in Path(first.folder).rglob("*"):
        assert not path.is_file() or password.encode() not in path.read_bytes()
