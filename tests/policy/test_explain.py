from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.test_compile_properties import NOW as THEN
from tests.policy.test_compile_properties import SURROUNDINGS, compiled, estates

from trunkline.clock import as_nanos
from trunkline.estate.claims import AppliesTo, Basis, Claim, DataClass, Requirement
from trunkline.estate.estate import Estate
from trunkline.estate.use_cases import State
from trunkline.messages import Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.explain import Question, explain
from trunkline.policy.explanation import Check, Explanation, Row
from trunkline.policy.satisfy import satisfies
from trunkline.policy.sources import Source, trace
from trunkline.policy.surroundings import Surroundings

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))


def told(acme: Estate, surroundings: Surroundings, use_case: str, data_class: str = "", now: int = NOW) -> Explanation:
    return explain(acme, surroundings, Question(use_case, now, data_class))


def row(explanation: Explanation, deployment: str) -> Row:
    return next(row for row in explanation.rows if row.deployment == deployment)


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    things = getattr(estate, section)
    return msgspec.structs.replace(
        estate, **{section: {**things, name: msgspec.structs.replace(things[name], **fields)}}
    )


@pytest.mark.parametrize("use_case", ["general-chat", "content-drafts", "security-triage", "hr-answers", "workflow"])
@pytest.mark.parametrize("data_class", ["", "confidential", "restricted"])
def test_every_deployment_has_one_row_and_the_compiler_decides_it(
    acme: Estate, surroundings: Surroundings, use_case: str, data_class: str
) -> None:
    explanation = told(acme, surroundings, use_case, data_class)
    assert sorted(row.deployment for row in explanation.rows) == sorted(acme.deployments)
    decision = compile_estate(acme, surroundings, NOW).offers["security"].get(use_case)
    if decision is not None:
        made = decision.decisions[explanation.data_class]
        assert [one.deployment for one in explanation.rows if one.order] == [one.deployment for one in made.endpoints]
        allowed = {one.deployment for one in (*made.all_allowed, *made.unconfigured)}
        assert {one.deployment for one in explanation.rows if one.allowed} == allowed


def test_an_allowed_deployment_tells_the_claim_that_expires_first(acme: Estate, surroundings: Surroundings) -> None:
    reserved = row(told(acme, surroundings, "hr-answers"), "mistral-house")
    assert reserved.allowed
    assert len(reserved.checks) == 7
    assert all(check.met and not check.would_allow for check in reserved.checks)
    telling = reserved.telling
    assert telling is not None
    assert telling.source is Source.DECLARED
    assert telling.expires == min(check.expires for check in reserved.checks if check.expires is not None)


def test_a_refusal_names_rule_claim_evidence_date_and_what_would_allow_it(
    acme: Estate, surroundings: Surroundings
) -> None:
    refused = row(told(acme, surroundings, "general-chat", "confidential"), "gpt-payg")
    assert not refused.allowed
    telling = refused.telling
    assert telling is not None
    assert telling.rule == "data class confidential requires training_use is never (basis contract or stronger)"
    assert telling.basis is Basis.PUBLISHED_DEFAULT
    assert telling.source is Source.PUBLISHED
    assert telling.evidence is not None
    assert telling.verified_at is not None
    assert telling.would_allow.startswith("add a claim on a stronger basis to gpt-payg")
    helped = {check.control: check.would_allow for check in refused.checks if not check.met}
    assert helped["human_review"].startswith("make it so")


def test_what_nothing_is_claimed_of_is_to_be_claimed(acme: Estate, surroundings: Surroundings) -> None:
    certified = DataClass(requires={"certifications": Requirement(within=("c5",), basis=Basis.CONTRACT)})
    estate = msgspec.structs.replace(acme, data_classes={**acme.data_classes, "certified": certified})
    telling = next(
        check
        for check in row(told(estate, surroundings, "general-chat", "certified"), "mistral-house").checks
        if not check.met
    )
    assert telling.claim == "no claim on certifications"
    assert telling.value is None
    assert telling.would_allow == (
        "add a claim to mistral-house, with evidence: certifications is within c5 (basis contract or stronger)"
    )


def test_an_expired_claim_is_to_be_verified_anew(acme: Estate, surroundings: Surroundings) -> None:
    late = as_nanos(datetime(2027, 10, 20, tzinfo=UTC))
    refused = row(told(acme, surroundings, "general-chat", now=late), "gpt-reserved")
    assert refused.telling is not None
    assert "expired 2027-10-02" in refused.telling.claim
    assert "trunkline claims verify gpt-reserved.training_use --value never" in refused.telling.would_allow


def test_what_is_allowed_and_cannot_be_called_says_what_is_missing(acme: Estate, surroundings: Surroundings) -> None:
    explanation = told(acme, surroundings, "content-drafts")
    bare = msgspec.structs.replace(surroundings, resolve=lambda reference: (None, f"set {reference}"))
    without = explain(acme, bare, Question("general-chat", NOW))
    assert row(without, "gpt-saas").allowed
    assert not row(without, "gpt-saas").configured
    assert "env:OPENAI_API_KEY" in row(without, "gpt-saas").missing
    assert explanation.rows


def test_a_deployment_outside_the_pools_is_refused_for_that_first(acme: Estate, surroundings: Surroundings) -> None:
    outside = row(told(acme, surroundings, "security-triage"), "gpt-saas")
    assert outside.pool is None
    assert [check.met for check in outside.checks][:2] == [False, False]
    assert outside.checks[0].claim == "it stands in central"
    assert "patterns self_managed" in outside.checks[1].rule


def test_a_looser_class_than_its_own_is_ignored(acme: Estate, surroundings: Surroundings) -> None:
    assert told(acme, surroundings, "hr-answers", "public").data_class == "restricted"


def test_a_use_case_that_is_not_on_offer_says_so_and_still_shows_its_table(
    acme: Estate, surroundings: Surroundings
) -> None:
    estate = changed(acme, "use_cases", "hr-answers", state=State.RETIRED, successor="general-chat")
    explanation = explain(estate, surroundings, Question("hr-answers", NOW))
    assert not explanation.allowed
    assert "retired" in explanation.closed
    assert "general-chat" in explanation.closed
    assert row(explanation, "mistral-house").allowed


@settings(max_examples=60, deadline=None)
@given(estate=estates(), use_case=st.sampled_from(["one", "two"]), data=st.data())
def test_over_made_up_estates_it_says_what_the_compiler_decides(
    estate: Estate, use_case: str, data: st.DataObject
) -> None:
    data_class = data.draw(st.sampled_from(list(estate.data_classes)))
    explanation = explain(estate, SURROUNDINGS, Question(use_case, THEN, data_class))
    offers = [found[use_case] for found in compiled(estate).offers.values() if use_case in found]
    decision = offers[0].decisions[explanation.data_class]
    assert {one.deployment for one in explanation.rows if one.allowed} == {
        one.deployment for one in (*decision.all_allowed, *decision.unconfigured)
    }
    inside = {one.deployment for one in explanation.rows if one.pool is not None}
    for one in explanation.rows:
        assert one.allowed == (one.deployment in inside and all(check.met for check in one.checks))
        assert all(bool(check.would_allow) is not check.met for check in one.checks)
    denied = {(denial.deployment, denial.claim) for denial in decision.denials}
    assert denied == {
        (one.deployment, check.claim) for one in explanation.rows if one.pool for check in one.checks if not check.met
    }


def test_a_claim_for_one_operation_is_told_where_that_is_asked_for(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    both = acme.deployments["gpt-reserved"]
    claim = msgspec.structs.replace(both.controls["training_use"], applies_to=AppliesTo(endpoints=("chat",)))
    controls = {**both.controls, "training_use": claim}
    limited = msgspec.structs.replace(both, controls=controls, capabilities=("chat", "embeddings"))
    estate = msgspec.structs.replace(acme, deployments={**acme.deployments, "gpt-reserved": limited})

    def check(operation: Operation | None) -> Check:
        question = Question("general-chat", now, "confidential", operation=operation)
        found = row(explain(estate, surroundings, question), "gpt-reserved")
        assert found.allowed is (operation is Operation.CHAT)
        rule = "data class confidential requires training_use is never (basis contract or stronger)"
        return next(check for check in found.checks if check.rule == rule)

    chat = check(Operation.CHAT)
    assert (chat.met, chat.source, chat.evidence) == (True, Source.DECLARED, claim.evidence)
    for operation in (Operation.EMBEDDINGS, None):
        other = check(operation)
        assert (other.met, other.source, other.basis) == (False, Source.PUBLISHED, Basis.PUBLISHED_DEFAULT)
    listed = trace(estate, "gpt-reserved", surroundings.vendors, now)["training_use"]
    assert [one.source for one in listed] == [Source.DECLARED, Source.PUBLISHED]
    elsewhere = msgspec.structs.replace(claim, applies_to=AppliesTo(endpoints=("chat",), models=("other/*",)))
    never = msgspec.structs.replace(limited, controls={"training_use": elsewhere})
    estate = msgspec.structs.replace(acme, deployments={**acme.deployments, "gpt-reserved": never})
    (only,) = trace(estate, "gpt-reserved", surroundings.vendors, now)["training_use"]
    assert only.source is Source.PUBLISHED


def test_an_explanation_weighs_each_deployment_once_however_many_use_cases_there_are(
    acme: Estate, surroundings: Surroundings, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[str] = []

    def count(control: str, claim: Claim, *rest: Any) -> bool:
        weighed.append(control)
        return satisfies(control, claim, *rest)

    monkeypatch.setattr("trunkline.policy.verdicts.satisfies", count)
    counts = []
    for more in (1, 300):
        like = acme.use_cases["general-chat"]
        cases = {**acme.use_cases, **{f"case-{number}": like for number in range(more)}}
        weighed.clear()
        explain(msgspec.structs.replace(acme, use_cases=cases), surroundings, Question("general-chat", now))
        counts.append(len(weighed))
    assert counts[0] == counts[1] > 0
