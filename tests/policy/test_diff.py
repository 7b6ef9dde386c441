from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from tests.policy.test_compile_properties import NOW as THEN
from tests.policy.test_compile_properties import SURROUNDINGS, allowed, compiled, estates

from trunkline.clock import as_nanos
from trunkline.estate.claims import Basis, Claim, Requirement
from trunkline.estate.deployments import Pattern
from trunkline.estate.estate import Estate
from trunkline.estate.pools import Pool
from trunkline.estate.use_cases import Keeper, Keeping, State
from trunkline.policy.diff import Change, Kind, diff
from trunkline.policy.surroundings import Surroundings

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    things = getattr(estate, section)
    return msgspec.structs.replace(
        estate, **{section: {**things, name: msgspec.structs.replace(things[name], **fields)}}
    )


@pytest.fixture
def changes(acme: Estate, surroundings: Surroundings) -> Any:
    """What changes from Acme's estate to another."""
    return lambda new: diff((acme, surroundings), (new, surroundings), NOW)


def decided(found: tuple[Change, ...]) -> set[tuple[str, str | None, str | None, str | None]]:
    return {(change.kind, change.use_case, change.data_class, change.deployment) for change in found if change.use_case}


def test_the_same_estate_has_no_changes(acme: Estate, changes: Any) -> None:
    assert changes(acme) == ()


def test_a_claim_that_is_gone_loses_what_rested_on_it(acme: Estate, changes: Any) -> None:
    controls = {name: claim for name, claim in acme.deployments["mistral-house"].controls.items() if name != "network"}
    found = changes(changed(acme, "deployments", "mistral-house", controls=controls))
    lost = decided(found)
    assert (Kind.LOST, "security-triage", "restricted", "mistral-house") in lost
    assert (Kind.LOST, "general-chat", "restricted", "mistral-house") in lost
    assert not any(data_class == "internal" for _, _, data_class, _ in lost)
    assert all("no claim on network" in change.after for change in found if change.kind is Kind.LOST)
    assert [(change.name, change.field) for change in found if change.section] == [
        ("mistral-house", "controls.network")
    ]


def test_a_better_claim_gains_and_says_why_it_was_refused(acme: Estate, changes: Any) -> None:
    claims = dict(acme.deployments["mistral-cloud"].controls)
    claims["residency_processing"] = Claim("eu", Basis.CONTRACT)
    found = changes(changed(acme, "deployments", "mistral-cloud", controls=claims))
    gained = [change for change in found if change.kind is Kind.GAINED]
    assert {(change.use_case, change.data_class) for change in gained} >= {("content-drafts", "confidential")}
    assert all("residency_processing" in change.before for change in gained)


def test_another_reason_for_the_same_refusal_is_a_change(acme: Estate, changes: Any) -> None:
    claims = {**acme.deployments["gpt-payg"].controls, "training_use": Claim("opt_out", Basis.CONTRACT)}
    found = changes(changed(acme, "deployments", "gpt-payg", controls=claims))
    assert (Kind.REASON, "content-drafts", "confidential", "gpt-payg") in decided(found)
    assert all(change.decides for change in found if change.kind is Kind.REASON)


def test_a_stricter_class_for_a_use_case_changes_what_its_callers_get(acme: Estate, changes: Any) -> None:
    found = changes(changed(acme, "use_cases", "general-chat", data_class="confidential"))
    assert (Kind.LOST, "general-chat", "internal", "gpt-saas") in decided(found)
    assert not any(change.data_class == "public" for change in found)


def test_an_audience_is_a_decision(acme: Estate, changes: Any) -> None:
    (change,) = changes(changed(acme, "use_cases", "hr-answers", audience=("hr", "sales")))
    assert (change.kind, change.before, change.after, change.decides) == (Kind.AUDIENCE, "hr", "hr, sales", True)


def test_use_cases_that_come_or_go_are_decisions_and_unused_deployments_are_not(acme: Estate, changes: Any) -> None:
    rest = {name: one for name, one in acme.use_cases.items() if name != "workflow"}
    found = changes(msgspec.structs.replace(acme, use_cases=rest))
    gone = next(change for change in found if change.kind is Kind.REMOVED)
    assert (gone.section, gone.name, gone.decides) == ("use_cases", "workflow", True)
    assert any(change.after == "there is no such use case" for change in found if change.kind is Kind.LOST)
    spare = {**acme.deployments, "spare": acme.deployments["gpt-saas"]}
    (added,) = changes(msgspec.structs.replace(acme, deployments=spare))
    assert (added.kind, added.name, added.decides) == (Kind.ADDED, "spare", False)


def test_a_use_case_that_retires_loses_all(acme: Estate, changes: Any) -> None:
    found = changes(changed(acme, "use_cases", "workflow", state=State.RETIRED))
    assert {change.after for change in found if change.kind is Kind.LOST} == {"the use case is not on offer"}


def test_patterns_and_pools_change_decisions(acme: Estate, changes: Any) -> None:
    found = changes(changed(acme, "use_cases", "general-chat", patterns=(Pattern.SELF_MANAGED,)))
    assert (Kind.LOST, "general-chat", "internal", "gpt-saas") in decided(found)
    found = changes(changed(acme, "use_cases", "general-chat", pools=("central",)))
    lost = [change for change in found if change.kind is Kind.LOST]
    assert {change.after for change in lost} == {"it does not stand in the use case's pools"}


@pytest.mark.parametrize(
    ("was", "is_now", "kind"),
    [
        (None, Keeping(), Kind.KEEPS_MORE),
        (Keeping(days=7), Keeping(days=8), Kind.KEEPS_MORE),
        (Keeping(days=7), Keeping(by=Keeper.DEPLOYMENT), Kind.KEEPS_MORE),
        (Keeping(by=Keeper.DEPLOYMENT), Keeping(), Kind.KEEPS_MORE),
        (Keeping(), Keeping(days=7), Kind.KEEPS_LESS),
        (Keeping(), None, Kind.KEEPS_LESS),
    ],
)
def test_what_is_kept_of_answers_is_a_decision(
    acme: Estate, surroundings: Surroundings, was: Keeping | None, is_now: Keeping | None, kind: Kind
) -> None:
    pool = Pool(owner=acme.root, tiers=(("gpt-saas",),))
    speaks = changed(acme, "deployments", "gpt-saas", dialect="responses")
    speaks = msgspec.structs.replace(speaks, pools={**acme.pools, "native": pool})
    old, new = (
        changed(speaks, "use_cases", "general-chat", data_class="public", pools=("native",), keeps=keeps)
        for keeps in (was, is_now)
    )
    found = [one for one in diff((old, surroundings), (new, surroundings), NOW) if one.data_class == "public"]
    (change,) = found
    assert (change.kind, change.use_case, change.deployment, change.decides) == (kind, "general-chat", None, True)
    assert change.before != change.after
    assert "days" in change.before + change.after or "provider says" in change.before + change.after


def test_a_store_that_may_keep_no_more_of_a_class_is_a_decision(acme: Estate, surroundings: Surroundings) -> None:
    keeps = changed(acme, "use_cases", "general-chat", keeps=Keeping(days=30))
    strict = Requirement(at_most=Decimal(7))
    internal = acme.data_classes["internal"]
    less = changed(
        keeps, "data_classes", "internal", requires={**internal.requires, "app_state_retention_days": strict}
    )
    found = diff((keeps, surroundings), (less, surroundings), NOW)
    kept = [change for change in found if change.kind is Kind.KEEPS_LESS and change.data_class == "internal"]
    assert [(one.use_case, one.before) for one in kept] == [("general-chat", "the exchange, for 30 days")]
    assert "app_state_retention_days is at most 7" in kept[0].after


def test_no_secret_is_repeated(acme: Estate, changes: Any) -> None:
    literal = changed(acme, "boundaries", "openai-main", credentials="sk-very-secret")
    (change,) = changes(literal)
    assert (change.before, change.after) == ("env:OPENAI_API_KEY", "a value of its own")
    assert "sk-very-secret" not in repr(change)


@settings(max_examples=60, deadline=None)
@given(old=estates(), new=estates())
def test_there_are_decisions_among_the_changes_wherever_something_else_is_allowed(old: Estate, new: Estate) -> None:
    found = diff((old, SURROUNDINGS), (new, SURROUNDINGS), THEN)

    def reached(estate: Estate) -> set[tuple[str, str, str]]:
        return {
            (name, data_class, deployment)
            for (_, name, data_class), tiers in allowed(compiled(estate)).items()
            if name in estate.use_cases
            for tier in tiers
            for deployment in tier
        }

    before, after = reached(old), reached(new)
    gained = {one[1:] for one in decided(found) if one[0] is Kind.GAINED}
    lost = {one[1:] for one in decided(found) if one[0] is Kind.LOST}
    stricter = set(old.data_classes) & set(new.data_classes)
    assert {one for one in after - before if one[1] in stricter} - gained <= shifted(old, new)
    assert {one for one in before - after if one[1] in stricter} - lost <= shifted(old, new)


def shifted(old: Estate, new: Estate) -> set[tuple[str, str, str]]:
    """What a use case's own class alone moves: under a looser class the own one counts on both sides."""
    return {
        (name, data_class, deployment)
        for name in old.use_cases
        if old.use_cases[name].data_class != new.use_cases[name].data_class
        for data_class in (*old.data_classes, *new.data_classes)
        for deployment in old.deployments
    }
