from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trunkline.app.applied import keep_applied
from trunkline.estate.claims import Basis, Claim, Evidence
from trunkline.store.folder import DataFolder
from trunkline.store.open import open_store

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"
KEYS = {
    "deployment", "pattern", "boundary", "model", "pool", "tier", "order", "allowed", "configured", "missing",
    "apart", "rule",
    "control", "claim", "value", "basis", "evidence", "verified_at", "verified_by", "expires", "source", "would_allow",
    "checks", "depends_on", "hangs_on", "keeps", "file", "line",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ACME_VLLM_URL", "ACME_AZURE_ENDPOINT", "ACME_AZURE_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def rows(done: Any) -> dict[str, dict[str, Any]]:
    return {row["deployment"]: row for row in json.loads(done.out)}


def test_every_deployment_is_a_row_with_the_same_keys(trunkline: Command) -> None:
    done = trunkline("explain", "hr-answers", "--estate", ACME, "--json")
    assert done.code == 0
    found = rows(done)
    assert len(found) == 8
    assert all(set(row) == KEYS for row in found.values())
    assert found["smol"]["allowed"]
    assert found["smol"]["order"] == 1
    assert found["mistral-house"]["allowed"]
    assert not found["mistral-house"]["configured"]
    assert "ACME_VLLM_URL" in found["mistral-house"]["would_allow"]
    refused = found["gpt-payg"]
    assert not refused["allowed"]
    assert "training_use is never" in refused["rule"]
    assert refused["evidence"]["title"].startswith("Azure OpenAI")
    assert refused["verified_at"].startswith("2026-11-")
    assert "add a claim" in refused["would_allow"]
    assert found["gpt-checkout"]["pool"] is None


def test_who_keeps_answers_is_told(trunkline: Command, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(
        ACME.read_text("utf-8").replace("  general-chat:\n", "  general-chat:\n    keeps: {days: 5}\n"), "utf-8"
    )
    assert "the exchange, for 5 days" in trunkline("explain", "general-chat", "--estate", path).out
    assert "nobody" in trunkline("explain", "general-chat", "--estate", ACME).out
    found = rows(trunkline("explain", "general-chat", "--estate", path, "--json"))
    assert {(row["keeps"]["by"], row["keeps"]["days"]) for row in found.values()} == {("exchange", 5)}


def test_a_class_that_nothing_satisfies_is_a_no(trunkline: Command, tmp_path: Path) -> None:
    text = ACME.read_text("utf-8").replace("pools: [house]\n    patterns: [self_managed]", "pools: [brand]")
    path = tmp_path / "estate.yaml"
    path.write_text(text, "utf-8")
    done = trunkline("explain", "security-triage", "--estate", path)
    assert done.code == 1
    assert "no deployment is allowed" in done.out


def test_a_raised_class_is_explained_as_raised(trunkline: Command) -> None:
    done = trunkline("explain", "general-chat", "--data-class", "restricted", "--estate", ACME)
    assert "raised from its own, internal" in done.out
    assert not rows(trunkline("explain", "general-chat", "--data-class", "restricted", "--estate", ACME, "--json"))[
        "gpt-saas"
    ]["allowed"]


def test_a_caller_outside_the_audience_is_a_no(trunkline: Command) -> None:
    done = trunkline("explain", "hr-answers", "--caller", "sales", "--estate", ACME)
    assert done.code == 1
    assert "not open to unit sales" in done.out
    found = rows(trunkline("explain", "hr-answers", "--caller", "sales", "--estate", ACME, "--json"))
    assert not any(row["allowed"] for row in found.values())
    assert "ask unit hr" in found["smol"]["would_allow"]
    assert rows(trunkline("explain", "hr-answers", "--caller", "hr", "--estate", ACME, "--json"))["smol"]["allowed"]
    assert trunkline("explain", "hr-answers", "--caller", "hr", "--estate", ACME).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("hr-answer",),
        ("hr-answers", "--data-class", "secret"),
        ("hr-answers", "--caller", "nobody"),
        (),
        ("hr-answers", "--request", ACME),
    ],
)
def test_wrong_names_are_wrong_usage(trunkline: Command, words: tuple[str, ...]) -> None:
    assert trunkline("explain", *words, "--estate", ACME).code == 2


def test_without_an_estate_it_is_the_one_applied_last_with_what_was_verified_since(
    trunkline: Command, data: Path
) -> None:
    assert "no estate was applied" in trunkline("explain", "hr-answers", "--data", data).err
    keep_applied(data, [ACME])
    assert rows(trunkline("explain", "hr-answers", "--data", data, "--json"))["gpt-reserved"]["allowed"]
    worse = Claim("public", Basis.ENFORCED_SETTING, evidence=Evidence("Found open"), verified_at=datetime.now(UTC))
    with open_store(DataFolder(data).store_path) as store:
        store.record_claim("gpt-reserved", "network", worse, 2**61)
    found = rows(trunkline("explain", "hr-answers", "--data", data, "--json"))["gpt-reserved"]
    assert not found["allowed"]
    assert found["source"] == "verified"
    assert found["evidence"]["title"] == "Found open"


def test_a_key_is_a_caller_with_its_own_bounds(trunkline: Command, data: Path) -> None:
    keep_applied(data, [ACME])
    made = json.loads(
        trunkline("key", "create", "--unit", "hr", "--use-case", "hr-answers", "--data", data, "--json").out
    )
    for name in (made["id"], made["key"]):
        assert trunkline("explain", "hr-answers", "--caller", name, "--data", data).code == 0
        assert trunkline("explain", "general-chat", "--caller", name, "--data", data).code == 1


def request(tmp_path: Path, value: Any) -> Path:
    path = tmp_path / "request.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


HELLO = {"model": "general-chat", "messages": [{"role": "user", "content": "hi"}]}


def test_a_request_shows_caller_class_decision_and_the_order_of_attempts(
    trunkline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_VLLM_URL", "http://10.0.0.7:8000")
    done = trunkline("explain", "--request", request(tmp_path, HELLO), "--caller", "sales", "--estate", ACME)
    assert done.code == 0
    assert "unit sales" in done.out
    assert "internal, the use case's own" in done.out
    assert "2 allowed, 3 not configured" in done.out
    assert done.out.index("mistral-house  tier 1") < done.out.index("smol  tier 2 after 1 failed")


def test_a_request_that_no_deployment_may_have_is_explained(trunkline: Command, tmp_path: Path) -> None:
    text = ACME.read_text("utf-8").replace("pools: [house]\n    patterns: [self_managed]", "pools: [brand]")
    path = tmp_path / "estate.yaml"
    path.write_text(text, "utf-8")
    asks = request(tmp_path, {"model": "security-triage", "messages": [{"role": "user", "content": "hi"}]})
    done = trunkline("explain", "--request", asks, "--caller", "security", "--estate", path)
    assert done.code == 1
    assert "no deployment is allowed" in done.out


NATIVE = """
estate: small
currency: EUR
time_zone: UTC
units: {acme: {cost_centre: "1"}}
data_classes: {internal: {requires: {app_state_retention_days: {at_most: 5}}}}
boundaries: {openai: {provider: openai, owner: acme, credentials: "env:OPENAI_API_KEY"}}
deployments:
  gpt:
    model: openai/gpt-5
    pattern: saas
    boundary: openai
    dialect: responses
    controls:
      app_state_retention_days:
        {value: 0, basis: contract, verified_at: 2020-01-01, expires: 2099-01-01, evidence: {title: A contract}}
pools: {all: {owner: acme, tiers: [[gpt]]}}
use_cases: {chat: {owner: acme, audience: [acme], data_class: internal, pools: [all], keeps: {days: 5}}}
"""


@pytest.mark.parametrize(
    "field",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"store": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_what_the_exchange_keeps_itself_asks_nothing_of_a_deployment(
    trunkline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: dict[str, Any]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    path = tmp_path / "estate.yaml"
    asks = request(tmp_path, {"path": "/v1/responses", "body": {"model": "chat", "input": "hi", **field}})
    for keeps, code in ((", keeps: {days: 5}", 0), (", keeps: {by: deployment}", 0 if "store" in field else 1)):
        path.write_text(NATIVE.replace(", keeps: {days: 5}", keeps), "utf-8")
        assert trunkline("explain", "--request", asks, "--caller", "acme", "--estate", path).code == code


def test_a_requests_headers_count(trunkline: Command, tmp_path: Path) -> None:
    raised = {"headers": {"X-Trunkline-Data-Class": "restricted"}, "body": HELLO}
    done = trunkline("explain", "--request", request(tmp_path, raised), "--estate", ACME)
    assert done.code == 0
    assert "restricted, raised from internal by the caller" in done.out
    found = rows(trunkline("explain", "--request", request(tmp_path, raised), "--estate", ACME, "--json"))
    assert not found["gpt-saas"]["allowed"]
    assert found["smol"]["order"] == 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('{"model": "general-chat", "messages": [', "400 malformed_request"),
        (HELLO | {"model": "nothing"}, "404 model_not_found"),
        (HELLO | {"model": "hr-answers"}, "403 use_case_not_permitted"),
        ({"model": "general-chat", "input": "hi"}, "400 operation_not_supported"),
        ({"headers": {"x-trunkline-data-class": "secret"}, "body": HELLO}, "400 unknown_data_class"),
    ],
)
def test_a_request_that_would_be_refused_says_so_as_the_exchange_would(
    trunkline: Command, tmp_path: Path, body: Any, says: str
) -> None:
    done = trunkline("explain", "--request", request(tmp_path, body), "--caller", "sales", "--estate", ACME)
    assert done.code == 1
    assert says in done.out


def test_a_request_without_rows_is_an_empty_array_for_programs(trunkline: Command, tmp_path: Path) -> None:
    done = trunkline("explain", "--request", request(tmp_path, HELLO | {"model": "x"}), "--estate", ACME, "--json")
    assert done.code == 1
    assert json.loads(done.out) == []
    assert "404" in done.err


@pytest.mark.parametrize("width", ["80", "120"])
def test_no_line_is_wider_than_the_terminal(trunkline: Command, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    done = trunkline("explain", "hr-answers", "--estate", ACME)
    assert max(map(len, done.out.splitlines())) <= int(width)
    for name in ("smol", "mistral-house", "gpt-reserved", "gpt-payg", "gpt-saas", "gpt-checkout", "minilm"):
        assert any(name in line.split() for line in done.out.splitlines())


RULES = """
rules:
  no-sales-outside:
    when: 'caller.unit == "sales" && deployment.pattern != "self_managed"'
    message: drafts stay in
  no-lists: {when: "request.answers > 1"}
"""


@pytest.fixture
def ruled(tmp_path: Path) -> Path:
    path = tmp_path / "estate.yaml"
    path.write_text(ACME.read_text("utf-8").rstrip() + RULES, "utf-8")
    return path


def test_a_rule_that_looks_at_the_call_is_told_with_its_expression_file_and_line(
    trunkline: Command, ruled: Path
) -> None:
    lines = ruled.read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if text.startswith("  no-sales-outside:"))
    found = rows(trunkline("explain", "general-chat", "--estate", ruled, "--json"))
    assert found["gpt-saas"]["allowed"]
    assert found["gpt-saas"]["depends_on"] == ["caller.unit", "request.answers"]
    assert found["smol"]["depends_on"] == ["request.answers"]
    (check,) = (one for one in found["gpt-saas"]["checks"] if one["hangs_on"] == ["caller.unit"])
    assert (check["rule"], check["met"]) == ("rule no-sales-outside (drafts stay in)", True)
    assert (check["file"], check["line"]) == (str(ruled), line)
    text = " ".join(trunkline("explain", "general-chat", "--estate", ruled).out.split())
    assert "depends on the request" in text
    assert "unless rule no-sales-outside (drafts stay in) refuses it" in text
    assert f":{line}:3" in text


def test_a_caller_settles_the_rules_that_look_at_callers(trunkline: Command, ruled: Path) -> None:
    found = rows(trunkline("explain", "general-chat", "--caller", "sales", "--estate", ruled, "--json"))
    refused = found["gpt-saas"]
    assert (refused["allowed"], refused["rule"]) == (False, "rule no-sales-outside (drafts stay in)")
    assert refused["claim"].endswith("is true of it")
    assert refused["line"] is not None
    assert found["smol"]["depends_on"] == ["request.answers"]
    others = rows(trunkline("explain", "general-chat", "--caller", "hr", "--estate", ruled, "--json"))
    assert others["gpt-saas"]["allowed"]
    assert others["gpt-saas"]["depends_on"] == ["request.answers"]


def test_a_request_settles_all_rules(trunkline: Command, ruled: Path, tmp_path: Path) -> None:
    words = ("--caller", "sales", "--estate", ruled)
    found = rows(trunkline("explain", "--request", request(tmp_path, HELLO), *words, "--json"))
    assert not found["gpt-saas"]["allowed"]
    assert found["smol"]["allowed"]
    assert not any(row["depends_on"] for row in found.values())
    done = trunkline("explain", "--request", request(tmp_path, HELLO | {"n": 2}), *words, "--json")
    assert done.code == 1
    assert "no_deployment_allowed" in done.err
    assert not any(row["allowed"] for row in rows(done).values())


def test_what_would_be_sent_otherwise_is_told_with_why_and_where(
    trunkline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_AZURE_ENDPOINT", "https://acme.example")
    monkeypatch.setenv("ACME_AZURE_KEY", "k")
    monkeypatch.setenv("COLUMNS", "200")
    asked = {"headers": {"x-trunkline-data-class": "restricted"}, "body": HELLO | {"store": True}}
    done = trunkline("explain", "--request", request(tmp_path, asked), "--estate", ACME)
    assert done.code == 0
    assert "set store=false (stored_answer) at gpt-reserved" in " ".join(done.out.split())
