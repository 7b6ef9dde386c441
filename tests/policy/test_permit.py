from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.errors import Malformed, NotPermitted, Unavailable, Unknown
from trunkline.estate.deployments import Deployment, Pattern, Timeouts
from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Permitted
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import offered, permit, raise_class, still_permitted
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller
from trunkline.wire.origins import Origin

MODEL = "openai/gpt-4.1-mini"


def caller(unit: str = "sales", *use_cases: str, key: str = "key_1") -> Caller:
    return Caller(key=KeyId(key), unit=unit, cost_centre="CC-1", use_cases=frozenset(use_cases) if use_cases else None)


def asked(model: str, **more: Any) -> Asked:
    return Asked(**{"operation": Operation.CHAT, "dialect": "openai", "model": model, "fields": {}, **more})


def names(permitted: Permitted) -> list[str]:
    return [endpoint.deployment for endpoint in permitted.decision.all_allowed]


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    table = dict(getattr(estate, section))
    table[name] = msgspec.structs.replace(table[name], **fields)
    return msgspec.structs.replace(estate, **{section: table})


@pytest.fixture(scope="session")
def snapshot(acme: Estate, surroundings: Surroundings, now: int) -> Snapshot:
    return compile_estate(acme, surroundings, now)


def test_a_use_case_is_permitted_under_its_own_class(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat"))
    assert permitted.decision.data_class == "internal"
    assert permitted.note == ""
    assert names(permitted) == ["gpt-reserved", "gpt-payg", "gpt-saas", "mistral-house", "smol"]


def test_a_stricter_class_from_the_caller_counts(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat", data_class="restricted"))
    assert permitted.decision.data_class == "restricted"
    assert names(permitted) == ["gpt-reserved", "mistral-house", "smol"]


def test_a_looser_class_from_the_caller_is_ignored_and_noted(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat", data_class="public"))
    assert permitted.decision.data_class == "internal"
    assert permitted.note == "data class public is looser than internal of use case general-chat: ignored"


def test_an_unknown_class_is_refused_with_those_that_there_are(snapshot: Snapshot) -> None:
    with pytest.raises(Malformed, match="public, internal, confidential, restricted") as refusal:
        permit(snapshot, caller(), asked("general-chat", data_class="Restricted"))
    assert refusal.value.code == "unknown_data_class"


def test_an_unknown_model_is_refused_with_the_nearest_of_the_callers_own(snapshot: Snapshot) -> None:
    with pytest.raises(Unknown, match=r"Did you mean general-chat\? GET /v1/models lists yours") as refusal:
        permit(snapshot, caller(), asked("genral-chat"))
    assert (refusal.value.status, refusal.value.code, refusal.value.param) == (404, "model_not_found", "model")


@pytest.mark.parametrize(("model", "hint"), [
    ("openai/gpt-4.1-mino", True),
    (MODEL + MODEL, True),
    (MODEL + MODEL + "x", False),
    ("quite other", False),
])  # fmt: skip
def test_what_is_like_none_of_the_callers_own_gets_no_hint(snapshot: Snapshot, model: str, hint: bool) -> None:
    with pytest.raises(Unknown) as refusal:
        permit(snapshot, caller(), asked(model))
    assert (f"Did you mean {MODEL}?" in str(refusal.value)) is hint
    assert ("Did you mean" in str(refusal.value)) is hint


def test_a_key_for_several_use_cases_reaches_a_direct_model_through_whichever_has_it(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "workflow", direct=(MODEL,))
    snapshot = compile_estate(estate, surroundings, now)
    key = caller("sales", "content-drafts", "workflow")
    assert permit(snapshot, key, asked(MODEL)).decision.use_case == "workflow"


def test_names_that_are_not_the_callers_are_never_suggested(snapshot: Snapshot) -> None:
    with pytest.raises(Unknown) as refusal:
        permit(snapshot, caller("finance"), asked("content-draft"))
    assert "content-drafts" not in str(refusal.value)


def test_a_very_long_model_name_is_refused_without_being_repeated(snapshot: Snapshot) -> None:
    with pytest.raises(Unknown) as refusal:
        permit(snapshot, caller(), asked("x" * 100_000))
    assert len(str(refusal.value)) < 300


def test_a_model_that_no_use_case_of_the_caller_declares_direct_is_unknown(snapshot: Snapshot) -> None:
    with pytest.raises(Unknown):
        permit(snapshot, caller(), asked("mistral/mistral-small"))


def test_a_use_case_of_others_is_refused_with_its_owner(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted) as refusal:
        permit(snapshot, caller("finance"), asked("content-drafts"))
    assert str(refusal.value) == (
        "use case content-drafts is not open to unit finance; ask unit marketing, its owner, to add the unit to it"
    )


def test_a_key_restricted_to_other_use_cases_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted, match="this key is not for use case general-chat; it is for workflow"):
        permit(snapshot, caller("sales", "workflow"), asked("general-chat"))
    with pytest.raises(NotPermitted, match="this key is not for use case general-chat"):
        permit(snapshot, caller("sales", "workflow"), asked(MODEL))
    assert names(permit(snapshot, caller("sales", "workflow"), asked("workflow"))) == ["gpt-reserved", "gpt-payg"]


def test_a_key_restricted_to_a_use_case_that_its_unit_lost_gains_nothing(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted, match="not open to unit finance"):
        permit(snapshot, caller("finance", "content-drafts"), asked("content-drafts"))
    assert offered(snapshot, caller("finance", "content-drafts")) == []


def test_a_restricted_key_gets_no_direct_model_through_a_use_case_that_is_not_open_to_its_unit(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "content-drafts", direct=(MODEL,))
    snapshot = compile_estate(estate, surroundings, now)
    with pytest.raises(NotPermitted, match="not for use case general-chat"):
        permit(snapshot, caller("finance", "content-drafts"), asked(MODEL))


def test_a_restricted_key_reaches_a_direct_model_through_its_own_use_case(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "workflow", direct=(MODEL,))
    snapshot = compile_estate(estate, surroundings, now)
    permitted = permit(snapshot, caller("sales", "workflow"), asked(MODEL))
    assert permitted.decision.use_case == "workflow"
    assert names(permitted) == ["gpt-reserved", "gpt-payg"]


def test_a_key_named_in_an_audience_may_use_it_from_any_unit(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "hr-answers", audience=("hr", "key:key_0a1b"))
    snapshot = compile_estate(estate, surroundings, now)
    assert permit(snapshot, caller(key="key_0a1b"), asked("hr-answers")).decision.use_case == "hr-answers"
    with pytest.raises(NotPermitted):
        permit(snapshot, caller(key="key_other"), asked("hr-answers"))


def test_a_key_whose_id_is_the_name_of_a_unit_gains_nothing_by_it(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted):
        permit(snapshot, caller("sales", key="hr"), asked("hr-answers"))


def test_a_unit_that_left_the_estate_has_nothing(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted, match="not open to unit gone"):
        permit(snapshot, caller("gone"), asked("general-chat"))
    assert offered(snapshot, caller("gone")) == []


def test_no_allowed_deployment_names_rule_claim_source_and_date_of_the_nearest_misses(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    nowhere = changed(acme, "boundaries", "azure-prod", region=None)
    snapshot = compile_estate(nowhere, surroundings, now)
    with pytest.raises(NotPermitted) as refusal:
        permit(snapshot, caller(), asked("content-drafts"))
    assert refusal.value.status == 403
    assert refusal.value.code == "no_deployment_allowed"
    assert str(refusal.value) == (
        "no deployment is allowed for use case content-drafts under data class confidential. "
        "mistral-cloud: data class confidential requires residency_processing is within eu, on_prem, but no claim on "
        "residency_processing; gpt-reserved: data class confidential requires residency_processing is within eu, "
        "on_prem, but no claim on residency_processing; gpt-payg: data class confidential requires training_use is "
        "never (basis contract or stronger), but training_use is never (basis published_default, 'Azure OpenAI: Data, "
        "privacy and security for Azure OpenAI', verified 2026-11-21, expires 2027-11-21). "
        "Ask unit marketing, its owner"
    )


def test_allowed_but_not_configured_says_what_is_missing_and_is_final(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    bare = msgspec.structs.replace(
        surroundings, resolve=lambda name: (None, f"{name} is not set"), addresses={}, engines=False
    )
    snapshot = compile_estate(acme, bare, now)
    with pytest.raises(Unavailable) as refusal:
        permit(snapshot, caller("security"), asked("security-triage"))
    assert str(refusal.value) == (
        "policy allows 2 deployment(s) for use case security-triage under data class restricted, but none is "
        "configured. mistral-house: url: env:ACME_VLLM_URL is not set; smol: this exchange runs no engines. "
        "Ask the operator of this exchange to configure one"
    )
    assert (refusal.value.status, refusal.value.code, refusal.value.final) == (503, "no_deployment_configured", True)


def test_an_engine_that_is_starting_is_worth_another_try(acme: Estate, surroundings: Surroundings, now: int) -> None:
    bare = msgspec.structs.replace(surroundings, resolve=lambda name: (None, f"{name} is not set"), addresses={})
    with pytest.raises(Unavailable, match="engine of smol is starting") as refusal:
        permit(compile_estate(acme, bare, now), caller("security"), asked("security-triage"))
    assert (refusal.value.code, refusal.value.final, refusal.value.retry_after) == ("engine_starting", False, 1)


def test_chat_never_goes_to_an_embedding_deployment_nor_the_other_way_round(snapshot: Snapshot) -> None:
    with pytest.raises(Malformed, match="search-vectors has no deployment that does chat; it answers /v1/embeddings"):
        permit(snapshot, caller(), asked("search-vectors"))
    with pytest.raises(Malformed, match="it answers /v1/chat/completions"):
        permit(snapshot, caller(), asked("general-chat", operation=Operation.EMBEDDINGS))
    assert names(permit(snapshot, caller(), asked("search-vectors", operation=Operation.EMBEDDINGS))) == ["minilm"]


def test_a_model_of_which_nothing_is_known_is_tried_for_everything(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compile_estate(acme, msgspec.structs.replace(surroundings, profiles={}), now)
    for operation in Operation:
        assert names(permit(snapshot, caller(), asked("search-vectors", operation=operation))) == ["minilm"]


def test_the_list_of_models_is_the_callers_own(snapshot: Snapshot) -> None:
    own = ["general-chat", "workflow", "search-vectors", MODEL]
    assert [offer.name for offer in offered(snapshot, caller("finance"))] == own
    assert [offer.name for offer in offered(snapshot, caller("finance", "workflow"))] == ["workflow"]


def test_an_attempt_stays_permitted_while_nothing_about_it_changes(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat"))
    again = compile_estate(acme, surroundings, now)
    for endpoint in permitted.decision.endpoints:
        assert still_permitted(snapshot, permitted, endpoint)
        assert still_permitted(again, permitted, endpoint)


def test_an_attempt_is_not_permitted_any_more_when_the_estate_of_the_moment_forbids_it(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat", data_class="confidential"))
    house = snapshot.endpoints["mistral-house"]
    assert still_permitted(snapshot, permitted, house)

    def still(estate: Estate, around: Surroundings = surroundings) -> bool:
        return still_permitted(compile_estate(estate, around, now), permitted, house)

    assert not still(changed(acme, "deployments", "mistral-house", controls={}))
    assert not still(changed(acme, "pools", "house", tiers=(("smol",),)))
    assert not still(changed(acme, "use_cases", "general-chat", audience=("hr",)))
    assert not still(changed(acme, "use_cases", "general-chat", data_class="restricted"))
    assert not still(changed(acme, "use_cases", "general-chat", patterns=("saas",)))
    assert not still(changed(acme, "deployments", "mistral-house", url="http://10.0.0.8:8000"))
    assert not still(changed(acme, "deployments", "mistral-house", upstream_model="other"))
    without = {name: one for name, one in acme.use_cases.items() if name != "general-chat"}
    assert not still(msgspec.structs.replace(acme, use_cases=without))
    assert still(changed(acme, "deployments", "mistral-house", timeouts=Timeouts(total=1.0)))


def test_a_direct_model_that_passed_to_another_use_case_is_permitted_anew_only(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    permitted = permit(snapshot, caller(), asked(MODEL))
    estate = changed(acme, "use_cases", "general-chat", direct=())
    newer = compile_estate(changed(estate, "use_cases", "workflow", direct=(MODEL,)), surroundings, now)
    reserved = snapshot.endpoints["gpt-reserved"]
    assert not still_permitted(newer, permitted, reserved)
    assert still_permitted(newer, permit(newer, caller(), asked(MODEL)), reserved)


def test_an_engine_that_was_started_anew_is_another_place(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    permitted = permit(snapshot, caller("security"), asked("security-triage"))
    addresses = {**surroundings.addresses, "smol": Address(url="http://127.0.0.1:4009", key="k9")}
    moved = compile_estate(acme, msgspec.structs.replace(surroundings, addresses=addresses), now)
    assert not still_permitted(moved, permitted, snapshot.endpoints["smol"])
    assert still_permitted(moved, permitted, moved.endpoints["smol"])


def test_an_endpoint_that_was_never_allowed_is_not_permitted_either(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat", data_class="restricted"))
    assert not still_permitted(snapshot, permitted, snapshot.endpoints["gpt-saas"])
    assert not still_permitted(snapshot, permitted, snapshot.endpoints["minilm"])


def test_a_class_that_the_data_turned_out_to_have_is_permitted_anew(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat"))
    assert raise_class(snapshot, permitted, "internal") is permitted
    assert raise_class(snapshot, permitted, "public") is permitted
    raised = raise_class(snapshot, permitted, "restricted")
    assert raised.decision.data_class == "restricted"
    assert names(raised) == ["gpt-reserved", "mistral-house", "smol"]
    assert raise_class(snapshot, raised, "confidential") is raised
    with pytest.raises(NotPermitted, match="holds data of class 'secret', which the estate does not have"):
        raise_class(snapshot, permitted, "secret")


def test_a_call_whose_class_left_the_estate_is_permitted_anew_under_what_its_data_turned_out_to_have(
    snapshot: Snapshot,
) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat"))
    left = msgspec.structs.replace(permitted, decision=msgspec.structs.replace(permitted.decision, data_class="secret"))
    assert raise_class(snapshot, left, "restricted").decision.data_class == "restricted"


def test_a_deployment_is_not_vouched_for_by_another_at_the_same_place(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    house = acme.deployments["mistral-house"]
    bare = msgspec.structs.replace(house, controls={})

    def twins(first: Deployment, second: Deployment) -> Snapshot:
        estate = changed(acme, "pools", "house", tiers=(("mistral-house", "twin"),))
        deployments = {**acme.deployments, "mistral-house": first, "twin": second}
        return compile_estate(msgspec.structs.replace(estate, deployments=deployments), surroundings, now)

    before = twins(house, bare)
    permitted = permit(before, caller("security"), asked("security-triage"))
    assert names(permitted) == ["mistral-house"]
    assert not still_permitted(twins(bare, house), permitted, before.endpoints["mistral-house"])
    assert still_permitted(twins(house, house), permitted, before.endpoints["mistral-house"])


def test_where_nothing_of_a_request_matters_it_is_not_examined(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compile_estate(changed(acme, "use_cases", "general-chat", data_class="public"), surroundings, now)
    permitted = permit(snapshot, caller(), asked("general-chat", dialect="tongues"))
    assert permitted.decision.watched is None
    assert still_permitted(snapshot, permitted, snapshot.endpoints["gpt-saas"])


@pytest.mark.parametrize("fields", [
    {"base_path": "/v2"}, {"boundary": "bedrock-eu"}, {"pattern": Pattern.CLOUD_SHARED}, {"upstream_model": "other"},
    {"origin": Origin("10.0.0.9", 443, tls=True)}, {"deployment": "gpt-saas-2"},
])  # fmt: skip
def test_an_endpoint_is_permitted_only_where_it_stands(snapshot: Snapshot, fields: dict[str, Any]) -> None:
    permitted = permit(snapshot, caller(), asked("general-chat"))
    endpoint = snapshot.endpoints["gpt-saas"]
    alike = msgspec.structs.replace(endpoint, headers=b"authorization: Bearer newer\r\n")
    assert still_permitted(snapshot, permitted, alike)
    assert not still_permitted(snapshot, permitted, msgspec.structs.replace(endpoint, **fields))


def test_a_key_that_is_for_nothing_is_told_so(snapshot: Snapshot) -> None:
    nothing = msgspec.structs.replace(caller(), use_cases=frozenset())
    with pytest.raises(NotPermitted, match="it is for none"):
        permit(snapshot, nothing, asked("general-chat"))


def test_a_key_that_an_audience_names_is_bound_like_any_other(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "security-triage", audience=("key:key_9",), direct=("mistral/mistral-small",))
    estate = changed(estate, "use_cases", "general-chat", direct=("mistral/mistral-small",))
    snapshot = compile_estate(estate, surroundings, now)
    bound = caller("sales", "security-triage", key="key_9")
    assert permit(snapshot, bound, asked("mistral/mistral-small")).decision.use_case == "security-triage"
    with pytest.raises(NotPermitted, match="this key is not for use case security-triage; it is for workflow"):
        permit(snapshot, caller("sales", "workflow", key="key_9"), asked("security-triage"))


def test_a_use_case_without_any_deployment_says_so(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = changed(acme, "pools", "central", tiers=((),))
    with pytest.raises(Malformed, match="workflow has no deployment that does chat; its pools hold no deployment"):
        permit(compile_estate(estate, surroundings, now), caller(), asked("workflow"))


def test_a_name_of_common_length_is_repeated_whole(snapshot: Snapshot) -> None:
    for length in (80, 81):
        with pytest.raises(Unknown) as refusal:
            permit(snapshot, caller(), asked("x" * length))
        assert f"'{'x' * 80}{'...' if length > 80 else ''}'" in str(refusal.value)
