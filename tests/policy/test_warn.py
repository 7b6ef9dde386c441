from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from trunkline.clock import as_nanos
from trunkline.estate.boundaries import Boundary
from trunkline.estate.claims import DataClass, Requirement
from trunkline.estate.deployments import Pattern
from trunkline.estate.estate import Estate
from trunkline.estate.pools import Pool
from trunkline.estate.rules import Effect, Rule
from trunkline.estate.use_cases import Keeper, Keeping, State
from trunkline.estate.webhooks import Webhook
from trunkline.policy.compile import compile_estate
from trunkline.policy.surroundings import Surroundings
from trunkline.policy.warn import Unwise, warn

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    things = getattr(estate, section)
    return msgspec.structs.replace(
        estate, **{section: {**things, name: msgspec.structs.replace(things[name], **fields)}}
    )


@pytest.fixture
def told(surroundings: Surroundings) -> Any:
    """The messages about an estate, by their paths."""

    def tell(estate: Estate, now: int = NOW) -> dict[tuple[str | int, ...], str]:
        found = warn(estate, surroundings, compile_estate(estate, surroundings, now), now)
        assert all(isinstance(one, Unwise) for one in found)
        return {one.path: one.message for one in found}

    return tell


def test_a_use_case_with_a_single_route_is_told(acme: Estate, told: Any) -> None:
    assert "single route" in told(acme)["use_cases", "search-vectors"]
    assert "minilm" in told(acme)["use_cases", "search-vectors"]
    assert ("use_cases", "general-chat") not in told(acme)


def test_a_use_case_without_any_route_is_told(acme: Estate, told: Any) -> None:
    found = told(changed(acme, "use_cases", "workflow", data_class="restricted", patterns=(Pattern.CLOUD_SHARED,)))
    assert "every call is refused" in found["use_cases", "workflow"]


def test_a_class_that_nothing_satisfies_is_told(acme: Estate, told: Any) -> None:
    assert not any(path[0] == "data_classes" for path in told(acme))
    secret = DataClass(requires={"certifications": Requirement(within=("c5",))})
    found = told(msgspec.structs.replace(acme, data_classes={**acme.data_classes, "secret": secret}))
    assert "no deployment satisfies data class secret" in found["data_classes", "secret"]


def test_an_audience_of_a_group_that_no_unit_has_is_told(acme: Estate, told: Any) -> None:
    found = told(changed(acme, "use_cases", "hr-answers", audience=("hr", "oidc:marketing", "oidc:nobody")))
    assert "nobody is in oidc:nobody" in found["use_cases", "hr-answers", "audience", 2]
    assert ("use_cases", "hr-answers", "audience", 1) not in found


def test_claims_that_differ_are_told_where_the_difference_matters_to_some_class(acme: Estate, told: Any) -> None:
    found = told(acme)
    message = found["use_cases", "general-chat", "pools"]
    assert "human_review" in message
    assert "flagged_only at gpt-payg, gpt-saas" in message
    # Private network and loopback differ, but whatever asks for one takes the other.
    assert ("use_cases", "security-triage", "pools") not in found


def test_claims_that_expire_within_30_days_are_told(acme: Estate, told: Any) -> None:
    path = ("deployments", "mistral-cloud", "controls", "human_review")
    assert path not in told(acme, as_nanos(datetime(2027, 2, 13, 12, tzinfo=UTC)))
    message = told(acme, as_nanos(datetime(2027, 2, 20, 12, tzinfo=UTC)))[path]
    assert "expires in 23 days" in message
    assert "Retention mode none" in message


def test_an_expired_claim_is_not_announced_as_expiring(acme: Estate, told: Any) -> None:
    found = told(acme, as_nanos(datetime(2028, 1, 1, tzinfo=UTC)))
    assert not any(path[0] == "deployments" and "expires" in message for path, message in found.items())


def test_a_place_in_a_pool_that_no_use_case_may_use_is_told_with_the_reason(acme: Estate, told: Any) -> None:
    path = ("pools", "house", "tiers", 0, 0)
    assert path not in told(acme)
    found = told(changed(acme, "pools", "house", tiers=(("gpt-saas",), ("smol",))))
    assert path not in found
    only = changed(acme, "pools", "brand", tiers=(("gpt-payg",), ("mistral-cloud",)))
    assert "training_use" in told(only)["pools", "brand", "tiers", 0, 0]


def test_a_deployment_that_stands_twice_in_a_pool_is_told(acme: Estate, told: Any) -> None:
    found = told(changed(acme, "pools", "house", tiers=(("mistral-house",), ("smol", "mistral-house"))))
    assert "never tried" in found["pools", "house", "tiers", 1, 1]


def test_a_pattern_that_nothing_in_the_pools_has_is_told(acme: Estate, told: Any) -> None:
    found = told(changed(acme, "use_cases", "security-triage", patterns=(Pattern.SELF_MANAGED, Pattern.SAAS)))
    assert "pattern saas" in found["use_cases", "security-triage", "patterns", 1]


def test_what_nobody_uses_is_told(acme: Estate, told: Any) -> None:
    assert not any("unused" in message for message in told(acme).values())
    more = msgspec.structs.replace(
        acme,
        deployments={**acme.deployments, "spare": acme.deployments["gpt-saas"]},
        pools={**acme.pools, "empty": Pool(owner="acme", tiers=(("gpt-saas",),))},
        boundaries={**acme.boundaries, "old": Boundary(provider="openai", owner="acme")},
    )
    found = told(more)
    assert "deployment spare is unused" in found["deployments", "spare"]
    assert "pool empty is unused" in found["pools", "empty"]
    assert "boundary old is unused" in found["boundaries", "old"]


def test_a_conversation_that_cannot_go_on_at_another_deployment_is_told(acme: Estate, told: Any) -> None:
    path = ("use_cases", "general-chat", "keeps")
    theirs = changed(acme, "use_cases", "general-chat", keeps=Keeping(by=Keeper.DEPLOYMENT))
    assert "none of its answers is kept" in told(theirs)[path]
    speak = changed(theirs, "deployments", "gpt-saas", dialect="responses")
    assert "cannot go on at another one" in told(speak)[path]
    pool = Pool(owner=acme.root, tiers=(("gpt-saas",),))
    one = changed(speak, "use_cases", "general-chat", pools=("native",), keeps=Keeping(by=Keeper.DEPLOYMENT))
    assert path not in told(msgspec.structs.replace(one, pools={**acme.pools, "native": pool}))
    assert path not in told(changed(speak, "use_cases", "general-chat", keeps=Keeping()))


def test_a_draft_is_not_held_against_its_routes(acme: Estate, told: Any) -> None:
    found = told(changed(acme, "use_cases", "search-vectors", state=State.DRAFT))
    assert ("use_cases", "search-vectors") not in found


@pytest.mark.parametrize(("when", "effect", "idle"), [
    ('deployment.pattern == "sas"', Effect.DENY, True),
    ('deployment.pattern == "saas"', Effect.DENY, False),
    ('deployment.pattern in ["saas", "cloud_shared", "cloud_private", "self_managed"]', Effect.ALLOW_ONLY, True),
    ('deployment.pattern in ["saas", "cloud_shared", "cloud_private"]', Effect.ALLOW_ONLY, False),
    ('use_case.name == "workflow" && data_class.level > 2', Effect.DENY, False),
    ('use_case.name == "workflow" && data_class.level > 3', Effect.DENY, True),
    ('caller.unit == "sales"', Effect.DENY, False),
    ('caller.unit == "sales" && deployment.provider == "opneai"', Effect.DENY, True),
    ('caller.unit == "sales" || deployment.provider != "opneai"', Effect.ALLOW_ONLY, True),
    ("request.bytes > 10", Effect.ALLOW_ONLY, False),
    ("true", Effect.ALLOW_ONLY, True),
    ("1 / data_class.level > 9", Effect.DENY, False),
])  # fmt: skip
def test_a_rule_that_never_refuses_anything_is_told(
    acme: Estate, told: Any, when: str, effect: Effect, idle: bool
) -> None:
    found = told(msgspec.structs.replace(acme, rules={"it": Rule(when=when, effect=effect)}))
    said = "rule it refuses no deployment to any use case: it has no effect"
    assert found.get(("rules", "it")) == (said if idle else None)


def test_a_webhook_whose_references_stand_for_nothing_is_told(acme: Estate, told: Any) -> None:
    hook = Webhook(url="env:NOT_SET_ANYWHERE", secret="env:NOT_SET_EITHER")
    found = told(msgspec.structs.replace(acme, webhooks={"money": hook}))
    assert "webhook money is told nothing" in found["webhooks", "money", "url"]
    assert ("webhooks", "money", "secret") in found
