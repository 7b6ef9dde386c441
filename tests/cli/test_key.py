from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trunkline.clock import SystemClock
from trunkline.errors import Unidentified
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store
from trunkline.tenancy.callers import Caller
from trunkline.tenancy.ring import KeyRing

if TYPE_CHECKING:
    from tests.cli.conftest import Command

HOUR = 3_600_000_000_000
Identify = Callable[..., Caller]


@pytest.fixture
def identify(data: Path) -> Identify:
    """Identify as a running exchange would."""

    def ask(secret: str, peer: str = "127.0.0.1", later: int = 0) -> Caller:
        folder = DataFolder(data)
        with open_store(folder.store_path) as store:
            centres = {"small": "CC-1", "marketing": "CC-2"}
            ring = KeyRing(store.all(), pepper=folder.pepper(), cost_centres=centres, root="small")
        return ring.identify(secret.encode(), peer, SystemClock.now() + later)

    return ask


def test_a_key_is_printed_alone_and_works(trunkline: Command, data: Path, identify: Identify) -> None:
    done = trunkline("key", "create", "--unit", "marketing", "--data", data)
    assert done.code == 0
    assert done.out.count("\n") == 1
    caller = identify(done.out.strip())
    assert caller.unit == "marketing"
    assert caller.key in done.err
    assert done.out.strip() not in done.err


def test_a_key_is_issued_to_a_person_and_stays_so_when_it_is_rotated(
    trunkline: Command, data: Path, estate: Path, identify: Identify
) -> None:
    words = ("--unit", "marketing", "--person", " ada ", "--data", data, "--estate", estate)
    made = json.loads(trunkline("key", "create", *words, "--json").out)
    assert made["person"] == identify(made["key"]).person == "ada"
    again = json.loads(trunkline("key", "rotate", made["id"], "--data", data, "--json").out)
    assert again["person"] == identify(again["key"]).person == "ada"
    assert identify(trunkline("key", "create", "--unit", "small", "--data", data).out.strip()).person is None


@pytest.mark.parametrize(
    ("person", "said"), [("Ada", "to the letter"), ("", "printable"), ("a\nb", "printable"), ("a" * 321, "1 to 320")]
)
def test_a_person_that_no_budget_could_be_meant_for_is_refused(
    trunkline: Command, data: Path, estate: Path, person: str, said: str
) -> None:
    words = ("--unit", "marketing", "--person", person, "--data", data, "--estate", estate)
    done = trunkline("key", "create", *words)
    assert done.code == 2
    assert said in done.err
    assert json.loads(trunkline("key", "list", "--data", data, "--json").out) == []


def test_a_key_is_bound_to_what_was_asked_for(trunkline: Command, data: Path, estate: Path, identify: Identify) -> None:
    words = ("--unit", "marketing", "--use-case", "general-chat", "--from", "10.0.0.0/8", "--from", "::1/128")
    done = trunkline(
        "key", "create", *words, "--expires", "2h", "--label", "web", "--data", data, "--estate", estate, "--json"
    )
    made = json.loads(done.out)
    assert made["use_cases"] == ["general-chat"]
    assert made["from"] == ["10.0.0.0/8", "::1/128"]
    assert made["label"] == "web"
    assert identify(made["key"], "10.1.2.3").use_cases == frozenset({"general-chat"})
    with pytest.raises(Unidentified):
        identify(made["key"], "192.0.2.1")
    with pytest.raises(Unidentified):
        identify(made["key"], "10.1.2.3", later=3 * HOUR)


def test_an_expiry_date_lasts_until_its_end_in_the_estates_zone(trunkline: Command, data: Path, estate: Path) -> None:
    words = ("--unit", "small", "--expires", "2100-01-01", "--data", data, "--estate", estate, "--json")
    assert json.loads(trunkline("key", "create", *words).out)["expires_at"] == "2100-01-01T22:59:59.999Z"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--unit", "marketting"), "did you mean marketing?"),
        (("--unit", "small", "--use-case", "general-chad"), "did you mean general-chat?"),
        (("--unit", "small", "--from", "10.0.0.1/8"), "CIDR"),
        (("--unit", "small", "--expires", "2001-01-01"), "has passed"),
        (("--unit", "small", "--expires", "soon"), "is not a span"),
        ((), "--unit"),
    ],
)
def test_a_key_that_makes_no_sense_is_wrong_usage_and_not_made(
    trunkline: Command, data: Path, estate: Path, words: tuple[str, ...], said: str
) -> None:
    done = trunkline("key", "create", *words, "--data", data, "--estate", estate)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
    assert json.loads(trunkline("key", "list", "--data", data, "--json").out) == []


def test_without_an_estate_names_are_not_checked_and_that_is_said(trunkline: Command, data: Path) -> None:
    done = trunkline("key", "create", "--unit", "whoever", "--data", data)
    assert done.code == 0
    assert "not checked" in done.err


def test_the_list_never_shows_a_secret(trunkline: Command, data: Path) -> None:
    secret = trunkline("key", "create", "--unit", "small", "--data", data).out.strip()
    for words in ((), ("--json",)):
        listed = trunkline("key", "list", "--data", data, *words).out
        assert secret[:8] in listed
        assert secret not in listed


def test_a_rotated_key_works_beside_its_successor_until_the_grace_is_over(
    trunkline: Command, data: Path, identify: Identify
) -> None:
    old = trunkline("key", "create", "--unit", "small", "--data", data).out.strip()
    done = trunkline("key", "rotate", identify(old).key, "--grace", "1h", "--data", data)
    new = done.out.strip()
    assert identify(old).unit == identify(new).unit == "small"
    with pytest.raises(Unidentified):
        identify(old, later=2 * HOUR)
    assert identify(new, later=2 * HOUR).unit == "small"
    states = [row["state"] for row in json.loads(trunkline("key", "list", "--data", data, "--json").out)]
    assert states == ["expires", "works"]


def test_a_revoked_key_works_no_more(trunkline: Command, data: Path, identify: Identify) -> None:
    secret = trunkline("key", "create", "--unit", "small", "--data", data).out.strip()
    done = trunkline("key", "revoke", identify(secret).key, "--data", data)
    assert done.code == 0
    with pytest.raises(Unidentified, match="revoked"):
        identify(secret)


@pytest.mark.parametrize("action", ["revoke", "rotate"])
def test_a_key_that_is_not_there_is_answered_with_no(trunkline: Command, data: Path, action: str) -> None:
    done = trunkline("key", action, "key_000000000000", "--data", data)
    assert done.code == 1
    assert "there is no key key_000000000000" in done.err


def test_keys_are_made_and_revoked_while_an_exchange_holds_the_folder(
    trunkline: Command, data: Path, identify: Identify
) -> None:
    with DataFolder(data).hold():
        secret = trunkline("key", "create", "--unit", "small", "--data", data).out.strip()
        assert trunkline("key", "revoke", identify(secret).key, "--data", data).code == 0
