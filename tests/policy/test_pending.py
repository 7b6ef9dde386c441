from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.errors import NotPermitted
from trunkline.estate.estate import Estate
from trunkline.estate.rules import Effect, Rule
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.explain import Question, explain
from trunkline.policy.explanation import Explanation
from trunkline.policy.narrow import narrow
from trunkline.policy.pending import hold_call
from trunkline.policy.permit import permit
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller

SALES = Caller(key=KeyId("key_1"), unit="sales", cost_centre="CC-1400")
HR = Caller(key=KeyId("key_2"), unit="hr", cost_centre="CC-1300")
ALL = ["gpt-reserved", "gpt-payg", "gpt-saas", "mistral-house", "smol"]
RULES = {
    "sales-stays-in": Rule(when='caller.unit == "sales" && deployment.pattern == "saas"', message="no drafts outside"),
    "small-only": Rule(when="request.bytes > 100 && deployment.name == 'smol'"),
    "with-limit": Rule(when='request.output_limit > 0 || deployment.name != "gpt-payg"', effect=Effect.ALLOW_ONLY),
}


def asked(**more: Any) -> Asked:
    return Asked(**{"operation": Operation.CHAT, "dialect": "openai", "model": "general-chat", "fields": {}, **more})


@pytest.fixture
def ruled(acme: Estate) -> Estate:
    return msgspec.structs.replace(acme, rules=RULES)


def allowed(explanation: Explanation) -> list[str]:
    rows = sorted((row for row in explanation.rows if row.order is not None), key=lambda row: row.order or 0)
    return [row.deployment for row in rows if row.allowed]


def test_what_depends_on_the_call_is_told_with_rule_and_expression_where_it_does(
    ruled: Estate, surroundings: Surroundings, now: int
) -> None:
    explanation = hold_call(explain(ruled, surroundings, Question("general-chat", now)), ruled)
    assert allowed(explanation) == ALL
    rows = {row.deployment: row for row in explanation.rows}
    assert {name: row.hangs_on for name, row in rows.items() if row.hangs_on} == {
        "gpt-saas": ("caller.unit",),
        "smol": ("request.bytes",),
        "gpt-payg": ("request.output_limit",),
    }
    check = next(check for check in rows["gpt-saas"].checks if check.hangs_on)
    assert (check.rule, check.met, check.at) == (
        "rule sales-stays-in (no drafts outside)", True, ("rules", "sales-stays-in"),
    )  # fmt: skip
    assert check.claim == (
        'it depends on the request: `caller.unit == "sales" && deployment.pattern == "saas"` looks at caller.unit'
    )
    settled = {check.rule: check.claim for check in rows["gpt-reserved"].checks if check.at[:1] == ("rules",)}
    assert set(settled) == {"rule sales-stays-in (no drafts outside)", "rule small-only", "rule with-limit"}
    assert all("does not refuse it" in claim for claim in settled.values())


def test_a_known_caller_settles_what_looks_at_callers_alone(
    ruled: Estate, surroundings: Surroundings, now: int
) -> None:
    whole = explain(ruled, surroundings, Question("general-chat", now))
    sales, hr = hold_call(whole, ruled, SALES), hold_call(whole, ruled, HR)
    assert allowed(sales) == ["gpt-reserved", "gpt-payg", "mistral-house", "smol"]
    assert allowed(hr) == ALL
    refused = next(row for row in sales.rows if row.deployment == "gpt-saas")
    assert refused.telling is not None
    assert refused.telling.rule == "rule sales-stays-in (no drafts outside)"
    assert refused.telling.claim == '`caller.unit == "sales" && deployment.pattern == "saas"` is true of it'
    assert (refused.hangs_on, refused.order) == ((), None)
    assert {row.deployment for row in sales.rows if row.hangs_on} == {"smol", "gpt-payg"}


@pytest.mark.parametrize("caller", [SALES, HR])
@pytest.mark.parametrize("fields", [{}, {"prompt_bound": 101}, {"output_limit": 7}, {"prompt_bound": 100}])
def test_of_a_whole_call_it_says_what_is_permitted(
    ruled: Estate, surroundings: Surroundings, now: int, caller: Caller, fields: dict[str, Any]
) -> None:
    request = asked(**fields)
    found = narrow(explain(ruled, surroundings, Question("general-chat", now)), Operation.CHAT)
    told = hold_call(found, ruled, caller, request)
    decision = permit(compile_estate(ruled, surroundings, now), caller, request).decision
    assert allowed(told) == [one.deployment for one in decision.all_allowed]
    assert not any(row.hangs_on for row in told.rows)


def test_a_rule_that_nothing_passes_is_told_of_every_deployment(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = msgspec.structs.replace(acme, rules={"no-lists": Rule(when="request.answers > 1")})
    told = hold_call(explain(estate, surroundings, Question("general-chat", now)), estate, SALES, asked(answers=2))
    assert not told.allowed
    assert all(any(check.rule == "rule no-lists" and not check.met for check in row.checks) for row in told.rows)
    with pytest.raises(NotPermitted):
        permit(compile_estate(estate, surroundings, now), SALES, asked(answers=2))


def test_without_rules_left_for_the_call_nothing_changes(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = msgspec.structs.replace(acme, rules={"no-saas": Rule(when='deployment.pattern == "saas"')})
    explanation = explain(estate, surroundings, Question("general-chat", now))
    assert hold_call(explanation, estate) == explanation
    plain = explain(acme, surroundings, Question("general-chat", now))
    assert hold_call(plain, acme, SALES, asked()) == plain
    refused = next(row for row in explanation.rows if row.deployment == "gpt-saas")
    assert refused.telling is not None
    assert refused.telling.at == ("rules", "no-saas")


def test_a_rule_that_cannot_be_worked_out_of_a_whole_call_refuses_here_as_there(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = msgspec.structs.replace(acme, rules={"broken": Rule(when="request.answers / request.bytes > 1")})
    told = hold_call(explain(estate, surroundings, Question("general-chat", now)), estate, SALES, asked())
    assert not told.allowed
    with pytest.raises(NotPermitted):
        permit(compile_estate(estate, surroundings, now), SALES, asked())
