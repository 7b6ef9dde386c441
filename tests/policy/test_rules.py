from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.errors import NotPermitted
from trunkline.estate.estate import Estate
from trunkline.estate.rules import Effect, Rule
from trunkline.estate.snapshot import Snapshot
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy import rules
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit, still_permitted
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller

ALL = ["gpt-reserved", "gpt-payg", "gpt-saas", "mistral-house", "smol"]


def caller(unit: str = "sales", key: str = "key_1") -> Caller:
    return Caller(key=KeyId(key), unit=unit, cost_centre="CC-1400")


def asked(model: str = "general-chat", **more: Any) -> Asked:
    return Asked(**{"operation": Operation.CHAT, "dialect": "openai", "model": model, "fields": {}, **more})


def ruled(acme: Estate, surroundings: Surroundings, now: int, **declared: Rule) -> Snapshot:
    return compile_estate(msgspec.structs.replace(acme, rules=declared), surroundings, now)


def allowed(snapshot: Snapshot, who: Caller, what: Asked) -> list[str]:
    try:
        return [endpoint.deployment for endpoint in permit(snapshot, who, what).decision.all_allowed]
    except NotPermitted:
        return []


@pytest.mark.parametrize(("when", "effect", "left"), [
    ('deployment.pattern == "saas"', Effect.DENY, ["gpt-reserved", "gpt-payg", "mistral-house", "smol"]),
    ('deployment.pattern in ["saas", "cloud_private"]', Effect.ALLOW_ONLY, ["gpt-reserved", "gpt-saas"]),
    ('deployment.provider == "azure-openai"', Effect.DENY, ["gpt-saas", "mistral-house", "smol"]),
    ('deployment.region == ""', Effect.DENY, ["gpt-reserved", "gpt-payg"]),
    ('deployment.region == ""', Effect.ALLOW_ONLY, ["gpt-saas", "mistral-house", "smol"]),
    ('deployment.sku == ""', Effect.ALLOW_ONLY, ["gpt-saas", "mistral-house", "smol"]),
    ('use_case.version == ""', Effect.ALLOW_ONLY, ALL),
    ("request.output_limit == 0", Effect.ALLOW_ONLY, ALL),
    ("request.output_limit > 100", Effect.DENY, ALL),
    ('deployment.sku.startsWith("DataZone")', Effect.ALLOW_ONLY, ["gpt-payg"]),
    ('deployment.vendor == "openai" && deployment.name != "gpt-saas"', Effect.DENY,
     ["gpt-saas", "mistral-house", "smol"]),
    ('deployment.owner == "platform"', Effect.ALLOW_ONLY, ALL),
    ('deployment.boundary == "house"', Effect.ALLOW_ONLY, ["mistral-house", "smol"]),
    ('use_case.owner == "platform" && data_class.level >= 1', Effect.DENY, []),
    ('data_class.name == "internal" && deployment.pattern == "saas"', Effect.DENY,
     ["gpt-reserved", "gpt-payg", "mistral-house", "smol"]),
    ('use_case.name == "workflow"', Effect.DENY, ALL),
    ('use_case.data_class == "internal"', Effect.ALLOW_ONLY, ALL),
    ('caller.unit == "sales" && deployment.pattern == "saas"', Effect.DENY,
     ["gpt-reserved", "gpt-payg", "mistral-house", "smol"]),
    ('"acme" in caller.units', Effect.DENY, []),
    ('"hr" in caller.units', Effect.DENY, ALL),
    ('caller.cost_centre == "CC-1400"', Effect.ALLOW_ONLY, ALL),
    ('caller.key == "key_1" && deployment.name == "smol"', Effect.ALLOW_ONLY, ["smol"]),
    ('request.stream && deployment.name == "smol"', Effect.ALLOW_ONLY, []),
    ('request.operation == "chat"', Effect.ALLOW_ONLY, ALL),
    ("request.output_limit == 0 && request.answers == 1 && request.bytes == 0", Effect.DENY, []),
    ("deployment.model.size() / (data_class.level - 1) > 0", Effect.DENY, []),
    ("deployment.model.size() / (data_class.level - 1) > 0", Effect.ALLOW_ONLY, []),
    ("request.bytes / 0 > 1", Effect.DENY, []),
    ("request.bytes / 0 > 1", Effect.ALLOW_ONLY, []),
])  # fmt: skip
def test_a_rule_takes_away_what_it_speaks_of_and_all_where_it_cannot_be_worked_out(
    acme: Estate, surroundings: Surroundings, now: int, when: str, effect: Effect, left: list[str]
) -> None:
    snapshot = ruled(acme, surroundings, now, it=Rule(when=when, effect=effect))
    assert allowed(snapshot, caller(), asked()) == left


def test_a_rule_that_needs_no_call_is_decided_when_the_estate_is_compiled(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    ahead = ruled(acme, surroundings, now, it=Rule(when='use_case.owner == "hr" && deployment.region == ""'))
    assert ahead.narrow is None
    later = ruled(acme, surroundings, now, it=Rule(when='caller.unit == "hr"'))
    assert later.narrow is not None
    assert compile_estate(acme, surroundings, now).narrow is None


def test_a_rule_on_use_cases_parts_those_that_share_their_pools(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = ruled(acme, surroundings, now, it=Rule(when='use_case.name == "hr-answers"'))
    assert allowed(snapshot, caller("hr"), asked("hr-answers")) == []
    assert allowed(snapshot, caller("hr"), asked("general-chat")) == ALL


def test_a_rule_on_a_stricter_class_leaves_the_looser_one_alone(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = ruled(
        acme, surroundings, now, it=Rule(when='data_class.name == "restricted" && deployment.name == "smol"')
    )
    assert allowed(snapshot, caller(), asked()) == ALL
    assert allowed(snapshot, caller(), asked(data_class="restricted")) == ["gpt-reserved", "mistral-house"]


def test_a_rule_on_callers_is_answered_for_each_of_them(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = ruled(
        acme, surroundings, now, it=Rule(when='"marketing" in caller.units && deployment.pattern == "saas"')
    )
    for _ in range(2):
        assert allowed(snapshot, caller("marketing"), asked()) == ["gpt-reserved", "gpt-payg", "mistral-house", "smol"]
        assert allowed(snapshot, caller("sales"), asked()) == ALL


def test_a_rule_on_requests_is_answered_for_each_of_them(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = ruled(acme, surroundings, now, it=Rule(when="request.answers > 1", effect=Effect.DENY))
    assert allowed(snapshot, caller(), asked()) == ALL
    assert allowed(snapshot, caller(), asked(answers=2)) == []
    assert allowed(snapshot, caller(), asked(answers=1)) == ALL
    large = ruled(acme, surroundings, now, it=Rule(when="request.bytes > 10"))
    assert allowed(large, caller(), asked(prompt_bound=10)) == ALL
    assert allowed(large, caller(), asked(prompt_bound=11)) == []


def test_what_was_answered_is_remembered_within_bounds(
    acme: Estate, surroundings: Surroundings, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_REMEMBERED", 1)
    snapshot = ruled(acme, surroundings, now, it=Rule(when="request.answers == 2"))
    for answers in (1, 2, 1, 2):
        assert allowed(snapshot, caller(), asked(answers=answers)) == ([] if answers == 2 else ALL)
        assert len(snapshot.narrow.__self__._answers) == 1  # type: ignore[union-attr]


def test_what_takes_few_values_is_remembered_and_what_takes_many_is_not(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    pattern = 'deployment.pattern == "saas"'
    few = ruled(acme, surroundings, now, it=Rule(when=f"{pattern} && request.answers == 1"))
    decision = few.offers["sales"]["general-chat"].decisions["internal"]
    assert few.narrow is not None
    assert few.narrow(decision, caller(), asked()) is few.narrow(decision, caller(key="key_2"), asked())
    first = few.narrow(decision, caller(), asked())
    assert few.narrow(decision, caller(), asked(answers=2)) is decision
    assert few.narrow(decision, caller(), asked()) is first
    for name in ('caller.key == "key_1"', "request.bytes == 0", "request.output_limit == 0"):
        many = ruled(acme, surroundings, now, it=Rule(when=f"{pattern} && {name}"))
        assert many.narrow is not None
        first, second = (many.narrow(decision, caller(), asked()) for _ in range(2))
        assert first == second
        assert first is not second
        assert not many.narrow.__self__._answers  # type: ignore[attr-defined]


def test_a_decision_that_no_rule_takes_from_stays_itself(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = ruled(acme, surroundings, now, it=Rule(when='caller.unit == "hr"'))
    decision = snapshot.offers["sales"]["general-chat"].decisions["internal"]
    assert snapshot.narrow is not None
    assert snapshot.narrow(decision, caller(), asked()) is decision


def test_the_owner_of_a_deployment_is_its_own_before_its_boundarys(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    own = msgspec.structs.replace(acme.deployments["gpt-saas"], owner="sales")
    estate = msgspec.structs.replace(acme, deployments={**acme.deployments, "gpt-saas": own})
    snapshot = ruled(estate, surroundings, now, it=Rule(when='deployment.owner == "sales"', effect=Effect.ALLOW_ONLY))
    assert allowed(snapshot, caller(), asked()) == ["gpt-saas"]


def test_a_long_expression_is_shortened_in_what_is_told(acme: Estate, surroundings: Surroundings, now: int) -> None:
    for length in (rules.SHOWN, rules.SHOWN + 1):
        when = 'use_case.name == "workflow"'.ljust(length)
        with pytest.raises(NotPermitted) as refusal:
            permit(ruled(acme, surroundings, now, it=Rule(when=when)), caller(), asked("workflow"))
        assert (f"`{when}` is true of it" in str(refusal.value)) is (length == rules.SHOWN)
        assert (f"`{when[:-1]}...` is true of it" in str(refusal.value)) is (length > rules.SHOWN)


def test_a_refusal_by_a_rule_names_it_with_its_message(acme: Estate, surroundings: Surroundings, now: int) -> None:
    for when in ('use_case.name == "workflow"', 'caller.unit == "sales"'):
        rule = Rule(when=when, message="not before the review in May")
        with pytest.raises(NotPermitted) as refusal:
            permit(ruled(acme, surroundings, now, no_workflow=rule), caller(), asked("workflow"))
        assert f"rule no_workflow (not before the review in May), but `{when}` is true of it" in str(refusal.value)
    only = Rule(when='deployment.pattern == "saas"', effect=Effect.ALLOW_ONLY)
    with pytest.raises(NotPermitted, match=r"rule it, but .* is not true of it"):
        permit(ruled(acme, surroundings, now, it=only), caller("security"), asked("security-triage"))


def test_a_rule_is_a_denial_in_the_decision_too(acme: Estate, surroundings: Surroundings, now: int) -> None:
    for when in ('deployment.name == "gpt-saas"', 'deployment.name == "gpt-saas" && caller.unit == "sales"'):
        decision = permit(ruled(acme, surroundings, now, it=Rule(when=when)), caller(), asked()).decision
        assert [(one.deployment, one.rule) for one in decision.denials] == [("gpt-saas", "rule it")]


def test_an_attempt_is_held_against_the_rules_of_the_moment(acme: Estate, surroundings: Surroundings, now: int) -> None:
    before = compile_estate(acme, surroundings, now)
    permitted = permit(before, caller(), asked())
    after = ruled(acme, surroundings, now, it=Rule(when='caller.unit == "sales" && deployment.pattern == "saas"'))
    assert not still_permitted(after, permitted, before.endpoints["gpt-saas"])
    assert still_permitted(after, permitted, before.endpoints["gpt-payg"])
