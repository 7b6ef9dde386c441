from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.app.applied import keep_applied

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"


@pytest.fixture
def acme(data: Path) -> Path:
    """A data folder in which Acme's estate was applied."""
    keep_applied(data, [ACME])
    return data


def claims(trunkline: Command, acme: Path) -> dict[str, dict[str, Any]]:
    return {row["claim"]: row for row in json.loads(trunkline("claims", "--data", acme, "--json").out)}


def test_all_claims_are_listed_with_where_they_come_from_and_how_long_they_hold(trunkline: Command, acme: Path) -> None:
    found = claims(trunkline, acme)
    assert found["gpt-saas.training_use"]["source"] == "published"
    assert found["gpt-reserved.training_use"]["source"] == "declared"
    assert found["smol.training_use"]["source"] == "asserted"
    reserved = found["gpt-reserved.human_review"]
    assert reserved["basis"] == "enforced_setting"
    assert reserved["evidence"]["reference"] == "ticket SEC-481"
    assert reserved["days_left"] < 366
    assert reserved["age_days"] >= 0
    assert found["smol.training_use"]["expires"] is None
    assert trunkline("claims", "--data", acme).out.count("\n") == len(found) + 1
    assert trunkline("claims", "list", "--estate", ACME, "--json").out.count("\n") == len(found) + 2


def test_a_verification_renews_the_claim_and_is_kept_beside_those_before(trunkline: Command, acme: Path) -> None:
    name = "gpt-reserved.human_review"
    before = claims(trunkline, acme)[name]
    words = ("claims", "verify", name, "--evidence", "Approval renewed|SEC-512|until further notice", "--by", "ada")
    done = trunkline(*words, "--expires", "2090-01-01", "--data", acme)
    assert done.code == 0
    assert "version 1" in done.out
    assert "renews" in done.out
    now = claims(trunkline, acme)[name]
    assert now["source"] == "verified"
    assert (now["value"], now["basis"]) == (before["value"], before["basis"])
    assert now["evidence"] == {
        "title": "Approval renewed", "reference": "SEC-512", "quote": "until further notice", "sha256": None
    }  # fmt: skip
    assert now["verified_by"] == "ada"
    assert now["expires"].startswith("2090-01-01T22:59")
    assert trunkline("claims", "verify", name, "--evidence", "Again", "--data", acme).code == 0
    rows = json.loads(trunkline("claims", "history", name, "--data", acme, "--json").out)
    assert [(row["version"], row["in_force"]) for row in rows] == [(0, False), (1, False), (2, True)]
    assert rows[0]["evidence"]["title"] == "Modified abuse monitoring approval"
    assert rows[1]["evidence"]["title"] == "Approval renewed"
    assert "Approval renewed" in trunkline("claims", "history", name, "--data", acme).out


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("gpt-saas.training_use", ("--value", "never", "--basis", "contract"), "rests on basis published_default"),
        ("gpt-saas.human_review", ("--value", "never"), "is flagged_only"),
        ("gpt-payg.network", ("--value", "private_link", "--basis", "contract"), "nothing is claimed"),
        ("mistral-brand.residency_processing", ("--value", "eu", "--basis", "enforced_setting"), "not enforced"),
    ],
)
def test_what_would_loosen_policy_is_refused_with_the_reason_and_not_kept(
    trunkline: Command, acme: Path, name: str, options: tuple[str, ...], why: str
) -> None:
    before = claims(trunkline, acme)
    done = trunkline("claims", "verify", name, *options, "--evidence", "Somebody said so", "--data", acme)
    assert done.code == 1
    assert why in done.err
    assert "the estate's file" in done.err
    after = claims(trunkline, acme)
    assert {one: row["source"] for one, row in after.items()} == {one: row["source"] for one, row in before.items()}


def test_a_tightening_takes_the_deployment_out_of_the_class(trunkline: Command, acme: Path) -> None:
    words = ("claims", "verify", "mistral-brand.human_review", "--value", "possible", "--evidence", "Found out")
    assert trunkline(*words, "--data", acme).code == 0
    table = json.loads(trunkline("explain", "content-drafts", "--data", acme, "--json").out)
    refused = next(row for row in table if row["deployment"] == "mistral-brand")
    assert not refused["allowed"]
    assert refused["source"] == "verified"


@pytest.mark.parametrize(
    "words",
    [
        ("gpt-reserved", "--evidence", "x"),
        ("gpt-reservd.training_use", "--evidence", "x"),
        ("gpt-reserved.training", "--evidence", "x"),
        ("gpt-reserved.training_use", "--evidence", " |ref"),
        ("gpt-reserved.training_use", "--value", "newer", "--evidence", "x"),
        ("gpt-reserved.abuse_log_retention_days", "--value", "-1", "--evidence", "x"),
        ("gpt-reserved.training_use", "--basis", "hearsay", "--evidence", "x"),
        ("gpt-reserved.training_use", "--expires", "2020-01-01", "--evidence", "x"),
        ("gpt-payg.network", "--evidence", "x"),
        ("gpt-reserved.training_use",),
        ("gpt-reserved.residency_processing", "--value", "eu, atlantis", "--evidence", "x"),
        ("gpt-reserved.training_use", "--evidence", "x", "--document", "/nowhere/at/all"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(trunkline: Command, acme: Path, words: tuple[str, ...]) -> None:
    assert trunkline("claims", "verify", *words, "--data", acme).code == 2


def test_values_are_read_as_the_control_has_them(trunkline: Command, acme: Path) -> None:
    for name, text, value in (
        ("gpt-reserved.abuse_log_retention_days", "30", 30),
        ("gpt-reserved.residency_processing", "eu, us", ["eu", "us"]),
        ("gpt-reserved.training_use", "unknown", "unknown"),
    ):
        done = trunkline("claims", "verify", name, "--value", text, "--evidence", "x", "--data", acme, "--json")
        assert json.loads(done.out)["value"] == value


def test_the_digest_of_the_evidence_itself_is_kept(trunkline: Command, acme: Path, tmp_path: Path) -> None:
    paper = tmp_path / "approval.pdf"
    paper.write_bytes(b"approved")
    words = ("claims", "verify", "gpt-reserved.network", "--evidence", "Approval|SEC-9", "--document", paper)
    assert trunkline(*words, "--data", acme).code == 0
    rows = json.loads(trunkline("claims", "history", "gpt-reserved.network", "--data", acme, "--json").out)
    assert rows[-1]["evidence"]["sha256"] == hashlib.sha256(b"approved").hexdigest()


def test_a_claim_that_expires_soon_or_has_expired_says_so(trunkline: Command, acme: Path) -> None:
    words = ("claims", "verify", "gpt-reserved.network", "--evidence", "x", "--expires", "20d", "--data", acme)
    assert trunkline(*words).code == 0
    assert claims(trunkline, acme)["gpt-reserved.network"]["state"] == "expires soon"


def test_without_a_data_folder_nothing_can_be_verified(trunkline: Command, tmp_path: Path) -> None:
    done = trunkline("claims", "verify", "smol.network", "--evidence", "x", "--data", tmp_path / "none")
    assert done.code == 1
    assert "no estate was applied" in done.err
