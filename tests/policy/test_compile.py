from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from trunkline.clock import as_nanos
from trunkline.estate.claims import AppliesTo, Basis, Claim, DataClass, Requirement
from trunkline.estate.decisions import Decision
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.zones import Zone
from trunkline.messages import Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.explain import Question, explain
from trunkline.policy.satisfy import FAR, satisfies
from trunkline.policy.surroundings import Surroundings

TRUTH = """
                                                                                   gpt-saas  gpt-payg      gpt-reserved   mistral-cloud  mistral-house  smol
                                                                                   saas      cloud_shared  cloud_private  cloud_shared   self_managed   self_managed
internal training_use is never                                                     yes       yes           yes            yes            yes            yes
confidential training_use is never (basis contract or stronger)                    no        no            yes            yes            yes            yes
confidential human_review is never (basis enforced_setting or stronger)            no        no            yes            yes            yes            yes
confidential residency_processing is within eu, on_prem                            no        yes           yes            no             yes            yes
restricted network is within private_link, private_network, loopback (basis enforced_setting or stronger)
                                                                                   no        no            yes            no             yes            yes
restricted app_state_retention_days is at most 0                                   no        no            yes            no             yes            yes
restricted abuse_log_retention_days is at most 0                                   no        no            yes            no             yes            yes
public                                                                             allowed   allowed       allowed        allowed        allowed        allowed
internal                                                                           allowed   allowed       allowed        allowed        allowed        allowed
confidential                                                                       denied    denied        allowed        denied         allowed        allowed
restricted                                                                         denied    denied        allowed        denied         allowed        allowed
"""  # noqa: E501  # a table is read across

MODELS = ["gpt-saas", "gpt-payg", "gpt-reserved", "mistral-cloud", "mistral-house", "smol"]


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    table = dict(getattr(estate, section))
    table[name] = msgspec.structs.replace(table[name], **fields)
    return msgspec.structs.replace(estate, **{section: table})


def declared(estate: Estate, deployment: str, **claims: Claim | None) -> Estate:
    controls = {**estate.deployments[deployment].controls, **claims}
    kept = {name: claim for name, claim in controls.items() if claim is not None}
    return changed(estate, "deployments", deployment, controls=kept)


def decide(snapshot: Snapshot, use_case: str, data_class: str) -> Decision:
    offer = next(offers[use_case] for offers in snapshot.offers.values() if use_case in offers)
    return offer.decisions[data_class]


def allowed(decision: Decision) -> list[list[str]]:
    return [[endpoint.deployment for endpoint in tier] for tier in decision.allowed]


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.fixture(scope="session")
def snapshot(acme: Estate, surroundings: Surroundings, now: int) -> Snapshot:
    return compile_estate(acme, surroundings, now)


def test_the_four_patterns_meet_the_controls_as_the_truth_table_says(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    everywhere = changed(acme, "use_cases", "general-chat", data_class="public")
    snapshot = compile_estate(everywhere, surroundings, now)
    rows: list[str] = ["", _row("", MODELS), _row("", [str(acme.deployments[name].pattern) for name in MODELS])]
    broken = {(denial.deployment, denial.rule) for denial in decide(snapshot, "general-chat", "restricted").denials}
    for rule in _rules(TRUTH):
        class_name, _, requirement = rule.partition(" ")
        held = f"data class {class_name} requires {requirement}"
        rows.append(_row(rule, ["no" if (name, held) in broken else "yes" for name in MODELS]))
    assert {rule for _, rule in broken} <= {f"data class {r.replace(' ', ' requires ', 1)}" for r in _rules(TRUTH)}
    for class_name in acme.data_classes:
        denied = {denial.deployment for denial in decide(snapshot, "general-chat", class_name).denials}
        rows.append(_row(class_name, ["denied" if name in denied else "allowed" for name in MODELS]))
    assert "\n".join(rows) + "\n" == TRUTH


def _rules(table: str) -> list[str]:
    starts = (line.split("  ")[0] for line in table.splitlines())
    return [start for start in starts if " " in start]


def _row(head: str, cells: list[str]) -> str:
    widths = [8, 12, 13, 13, 13, 12]
    tail = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return f"{head.ljust(81)}  {tail}" if len(head) <= 81 else f"{head}\n{' ' * 81}  {tail}"


def test_pools_and_their_tiers_follow_one_another_in_order(snapshot: Snapshot) -> None:
    tiers = allowed(decide(snapshot, "general-chat", "internal"))
    assert tiers == [["gpt-reserved"], ["gpt-payg"], ["gpt-saas"], ["mistral-house"], ["smol"]]
    assert allowed(decide(snapshot, "hr-answers", "restricted")) == [["mistral-house"], ["smol"], ["gpt-reserved"]]


def test_a_deployment_in_two_pools_counts_where_it_stands_first(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "pools", "house", tiers=(("smol", "gpt-saas"), ("mistral-house", "smol")))
    estate = changed(estate, "use_cases", "general-chat", pools=("house", "central"))
    tiers = allowed(decide(compile_estate(estate, surroundings, now), "general-chat", "internal"))
    assert tiers == [["smol", "gpt-saas"], ["mistral-house"], ["gpt-reserved"], ["gpt-payg"]]


def test_decisions_reach_from_the_use_cases_own_class_to_the_strictest(snapshot: Snapshot) -> None:
    offers = snapshot.offers["marketing"]
    assert list(offers["general-chat"].decisions) == ["internal", "confidential", "restricted"]
    assert list(offers["content-drafts"].decisions) == ["confidential", "restricted"]


def test_patterns_of_the_use_case_are_a_rule_like_any_other(snapshot: Snapshot) -> None:
    decision = decide(snapshot, "workflow", "internal")
    assert [(one.deployment, one.rule, one.claim) for one in decision.denials] == [
        ("gpt-saas", "use case workflow allows the patterns cloud_shared, cloud_private", "its pattern is saas")
    ]


def test_a_denial_names_rule_and_claim_with_source_and_dates(snapshot: Snapshot) -> None:
    said = {(one.deployment, one.rule): one.claim for one in decide(snapshot, "general-chat", "confidential").denials}
    rule = "data class confidential requires residency_processing is within eu, on_prem"
    assert said["mistral-cloud", rule] == "no claim on residency_processing"
    rule = "data class confidential requires training_use is never (basis contract or stronger)"
    assert said["gpt-saas", rule] == (
        "training_use is never (basis published_default, 'OpenAI API: Data controls in the OpenAI platform', "
        "verified 2026-11-21, expires 2027-11-21)"
    )


def test_what_is_allowed_but_cannot_be_called_is_listed_apart(snapshot: Snapshot) -> None:
    (one,) = decide(snapshot, "general-chat", "internal").unconfigured
    assert (one.deployment, one.missing) == (
        "mistral-cloud",
        "this version does not speak the dialect 'bedrock' upstream",
    )


def test_a_declared_claim_stands_in_place_of_the_published_one_even_when_it_ran_out(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    expired = Claim(value="never", basis=Basis.CONTRACT, verified_at=moment(2025, 1, 1), expires=moment(2026, 1, 1))
    estate = declared(acme, "gpt-saas", training_use=expired)
    decision = decide(compile_estate(estate, surroundings, now), "general-chat", "internal")
    assert [denial.claim for denial in decision.denials] == [
        "training_use is never (basis contract, verified 2025-01-01, expired 2026-01-01)"
    ]


@pytest.mark.parametrize(
    "worse",
    [
        Claim(value="opt_out", basis=Basis.OPERATOR_RUN),
        Claim(value="never", basis=Basis.UNVERIFIED),
        Claim(value="never", basis=Basis.OPERATOR_RUN, expires=moment(2026, 1, 1)),
    ],
)
def test_a_worse_claim_declared_for_an_engine_is_not_hidden_by_the_asserted_one(
    acme: Estate, surroundings: Surroundings, now: int, worse: Claim
) -> None:
    estate = declared(acme, "smol", training_use=worse)
    decision = decide(compile_estate(estate, surroundings, now), "security-triage", "restricted")
    assert allowed(decision) == [["mistral-house"]]


def test_a_better_claim_declared_for_an_engine_does_not_hide_the_asserted_one(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    better = Claim(value="de", basis=Basis.OPERATOR_RUN)
    sealed = DataClass(requires={"residency_processing": Requirement(is_="de")})
    estate = declared(acme, "smol", residency_processing=better)
    estate = msgspec.structs.replace(estate, data_classes={**acme.data_classes, "sealed": sealed})
    assert allowed(decide(compile_estate(estate, surroundings, now), "security-triage", "sealed")) == []


def test_a_pattern_by_itself_grants_nothing(acme: Estate, surroundings: Surroundings, now: int) -> None:
    bare = changed(acme, "deployments", "mistral-house", controls={})
    decision = decide(compile_estate(bare, surroundings, now), "general-chat", "internal")
    assert ["mistral-house"] not in allowed(decision)
    assert [denial.claim for denial in decision.denials] == ["no claim on training_use"]


def test_the_snapshot_is_good_until_the_first_claim_in_it_runs_out(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    # The human_review of mistral-cloud is the first to expire; it cannot be called, but it may be any day.
    ends = datetime.combine(moment(2027, 3, 15), datetime.max.time(), UTC)
    snapshot = compile_estate(acme, surroundings, now)
    assert snapshot.good_until == as_nanos(ends)

    def expired(at: int) -> bool:
        denials = decide(compile_estate(acme, surroundings, at), "general-chat", "confidential").denials
        return any(one.deployment == "mistral-cloud" and "expired 2027-03-15" in one.claim for one in denials)

    assert not expired(snapshot.good_until - 1)
    assert expired(snapshot.good_until)
    assert compile_estate(acme, surroundings, snapshot.good_until).good_until > snapshot.good_until


def test_an_age_limit_bounds_the_snapshot_too(acme: Estate, surroundings: Surroundings, now: int) -> None:
    internal = DataClass(requires={"training_use": Requirement(is_="never", max_age_days=30)})
    estate = msgspec.structs.replace(acme, data_classes={"internal": internal}, use_cases={})
    assert compile_estate(estate, surroundings, now).good_until == FAR
    case = msgspec.structs.replace(acme.use_cases["general-chat"], pools=("house",))
    estate = msgspec.structs.replace(estate, use_cases={"general-chat": case})
    snapshot = compile_estate(estate, surroundings, now)
    verified = acme.deployments["mistral-house"].controls["training_use"].verified_at
    assert verified is not None
    assert snapshot.good_until == as_nanos(verified) + 30 * 86_400 * 10**9


def test_units_below_the_audience_are_in_it_and_no_others(acme: Estate, snapshot: Snapshot) -> None:
    assert set(snapshot.offers) == set(acme.units)
    assert {unit for unit, offers in snapshot.offers.items() if "content-drafts" in offers} == {"marketing", "sales"}
    assert {unit for unit, offers in snapshot.offers.items() if "general-chat" in offers} == set(snapshot.offers)


def test_units_share_their_offers(snapshot: Snapshot) -> None:
    first = snapshot.offers["acme"]["general-chat"]
    assert all(offers["general-chat"] is first for offers in snapshot.offers.values())


def test_a_key_in_an_audience_is_offered_what_its_unit_is_not(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "hr-answers", audience=("hr", "key:key_0a1b", "oidc:hr"))
    snapshot = compile_estate(estate, surroundings, now)
    assert list(snapshot.key_offers["key_0a1b"]) == ["hr-answers"]
    assert "hr-answers" not in snapshot.offers["sales"]


def test_a_direct_model_offers_the_deployments_of_that_model_under_the_use_cases_rules(snapshot: Snapshot) -> None:
    offer = snapshot.offers["sales"]["openai/gpt-4.1-mini"]
    assert (offer.use_case, offer.data_class) == ("general-chat", "internal")
    assert allowed(offer.decisions["internal"]) == [["gpt-reserved"], ["gpt-payg"], ["gpt-saas"]]
    assert allowed(offer.decisions["restricted"]) == [["gpt-reserved"]]
    assert offer.decisions["internal"].instructions is not None


def test_of_two_use_cases_with_the_same_direct_model_the_first_counts_and_the_operator_is_told(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    estate = changed(acme, "use_cases", "workflow", direct=("openai/gpt-4.1-mini",))
    snapshot = compile_estate(estate, surroundings, now)
    assert snapshot.offers["sales"]["openai/gpt-4.1-mini"].use_case == "general-chat"
    assert set(snapshot.direct) == {"general-chat", "workflow"}
    (warning,) = snapshot.warnings
    assert warning == (
        "model openai/gpt-4.1-mini is direct in use cases general-chat and workflow, whose audiences meet: "
        "there it means general-chat"
    )


def test_a_model_never_hides_a_use_case_of_the_same_name(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = changed(acme, "use_cases", "general-chat", direct=("workflow",))
    assert compile_estate(estate, surroundings, now).offers["sales"]["workflow"].use_case == "workflow"


def test_chat_and_embeddings_have_decisions_of_their_own(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = changed(acme, "use_cases", "search-vectors", pools=("vectors", "house"))
    offer = compile_estate(estate, surroundings, now).offers["sales"]["search-vectors"]
    assert allowed(offer.by_operation[Operation.EMBEDDINGS]["restricted"]) == [["minilm"]]
    assert allowed(offer.by_operation[Operation.CHAT]["restricted"]) == [["mistral-house"], ["smol"]]
    only = compile_estate(acme, surroundings, now).offers["sales"]["search-vectors"]
    assert list(only.by_operation) == [Operation.EMBEDDINGS]
    assert only.by_operation[Operation.EMBEDDINGS]["restricted"] is only.decisions["restricted"]


def test_the_snapshot_carries_every_deployment_and_cost_centre(acme: Estate, snapshot: Snapshot) -> None:
    assert set(snapshot.endpoints) == set(acme.deployments)
    assert snapshot.cost_centres["checkout"] == "CC-2100"
    assert (snapshot.root, snapshot.currency, snapshot.version) == ("acme", "EUR", "1a2b")
    assert snapshot.owners["content-drafts"] == "marketing"


def test_a_claim_for_one_operation_counts_for_that_one_alone(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    claim = acme.deployments["mistral-house"].controls["training_use"]
    for endpoints, chats, embeds in ((("chat",), True, False), (("embeddings",), False, True)):
        for_one = msgspec.structs.replace(claim, applies_to=AppliesTo(endpoints=endpoints))
        estate = changed(acme, "deployments", "mistral-house", capabilities=("chat", "embeddings"))
        estate = declared(estate, "mistral-house", training_use=for_one)
        offer = compile_estate(estate, surroundings, now).offers["security"]["security-triage"]
        chat, embeddings = (offer.by_operation[operation]["restricted"] for operation in Operation)
        assert (["mistral-house"] in allowed(chat), ["mistral-house"] in allowed(embeddings)) == (chats, embeds)
        assert ["mistral-house"] not in allowed(offer.decisions["restricted"])
    both = msgspec.structs.replace(claim, applies_to=AppliesTo(endpoints=("chat", "embeddings")))
    estate = declared(estate, "mistral-house", training_use=both)
    offer = compile_estate(estate, surroundings, now).offers["security"]["security-triage"]
    assert ["mistral-house"] in allowed(offer.decisions["restricted"])


def test_a_zone_of_the_estates_own_decides_like_any_other(acme: Estate, surroundings: Surroundings, now: int) -> None:
    asked = DataClass({"residency_processing": Requirement(within=("north", "cellar"))})
    estate = msgspec.structs.replace(
        acme,
        data_classes={**acme.data_classes, "internal": asked},
        zones={"north": Zone(contains=("se", "no", "fi")), "cellar": Zone(contains=("on_prem",))},
    )
    snapshot = compile_estate(estate, surroundings, now)
    decision = snapshot.offers["sales"]["general-chat"].decisions["internal"]
    assert [one.deployment for one in decision.all_allowed] == ["gpt-reserved", "mistral-house", "smol"]
    assert decision.may_keep("ledger")
    unknown = compile_estate(msgspec.structs.replace(estate, zones={}), surroundings, now)
    decision = unknown.offers["sales"]["general-chat"].decisions["internal"]
    assert not list(decision.all_allowed)
    assert not decision.may_keep("ledger")
    rows = explain(estate, surroundings, Question("general-chat", now)).rows
    assert [row.deployment for row in rows if row.allowed] == ["gpt-reserved", "mistral-house", "smol"]
    assert all(check.met for row in rows if row.allowed for check in row.checks)


def test_use_cases_without_patterns_share_and_those_with_patterns_are_named(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    for patterns in ((), ("saas",)):
        estate = changed(
            changed(acme, "use_cases", "workflow", patterns=patterns),
            "use_cases",
            "general-chat",
            pools=("central",),
            patterns=patterns,
        )
        offers = compile_estate(estate, surroundings, now).offers["sales"]
        for name in ("workflow", "general-chat"):
            denials = offers[name].decisions["internal"].denials
            assert {one.rule for one in denials if "patterns" in one.rule} == {
                f"use case {name} allows the patterns {', '.join(patterns) or 'none'}"
            }


def many(acme: Estate, use_cases: int) -> Estate:
    """Acme with so many more use cases like its general chat."""
    like = acme.use_cases["general-chat"]
    more = {f"case-{number}": msgspec.structs.replace(like, direct=()) for number in range(use_cases)}
    return msgspec.structs.replace(acme, use_cases={**acme.use_cases, **more})


def parts(snapshot: Snapshot) -> dict[str, set[int]]:
    """The identities of all that decisions are made of, by field, and of the decisions."""
    found: dict[str, set[int]] = {}
    for offers in snapshot.offers.values():
        for offer in offers.values():
            for decision in (
                *offer.decisions.values(),
                *(d for by in offer.by_operation.values() for d in by.values()),
            ):
                found.setdefault("decision", set()).add(id(decision))
                for field in ("tiers", "denials", "unconfigured", "features", "watched", "stores"):
                    found.setdefault(field, set()).add(id(getattr(decision, field)))
    return found


def test_more_use_cases_on_the_same_pools_add_their_decisions_and_nothing_that_grows_with_deployments(
    acme: Estate, surroundings: Surroundings, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[str] = []

    def count(control: str, claim: Claim, *rest: Any) -> bool:
        weighed.append(control)
        return satisfies(control, claim, *rest)

    monkeypatch.setattr("trunkline.policy.verdicts.satisfies", count)
    few = parts(compile_estate(many(acme, 1), surroundings, now))
    of_few, weighed[:] = len(weighed), []
    lots = parts(compile_estate(many(acme, 201), surroundings, now))
    assert len(weighed) == of_few
    per_case = len(acme.data_classes) - 1
    assert len(lots.pop("decision")) - len(few.pop("decision")) == 200 * per_case
    assert {field: len(ids) for field, ids in lots.items()} == {field: len(ids) for field, ids in few.items()}


def test_what_a_looser_class_bars_of_a_request_every_stricter_one_bars(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    classes = {**acme.data_classes, "internal": acme.data_classes["restricted"], "secret": DataClass()}
    estate = msgspec.structs.replace(acme, data_classes=classes)
    decisions = compile_estate(estate, surroundings, now).offers["sales"]["general-chat"].decisions
    barred = decisions["internal"].features["gpt-reserved"]
    assert "stored_answer" in barred
    for name in ("confidential", "restricted", "secret"):
        assert barred.items() <= decisions[name].features["gpt-reserved"].items()
