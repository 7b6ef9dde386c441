"""Which deployments may take a call over from each other."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.test_compile_properties import compiled, estates

from trunkline.estate.decisions import Decision
from trunkline.estate.deployments import Pattern
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.estate import Estate
from trunkline.estate.unit_prices import UnitPrice
from trunkline.policy.failover import apart, line_up, without
from trunkline.wire.origins import Origin, Times


def endpoint(name: str, model: str = "openai/gpt", *, version: str = "", engine: bool = False) -> Endpoint:
    return Endpoint(
        deployment=name,
        pattern=Pattern.SAAS,
        boundary="b",
        model=model,
        upstream_model=model,
        dialect="openai",
        origin=Origin(name, 80, tls=False),
        base_path="/v1",
        headers=b"",
        price=UnitPrice(),
        times=Times(2, 20, 30, 600),
        version=version,
        engine=engine,
    )


A, B = endpoint("a"), endpoint("b")
M, N = endpoint("m", "mistral/large"), endpoint("n", "mistral/small")
POOLS = {"a": "p", "m": "p", "b": "p", "n": "q"}


def decide(*tiers: tuple[Endpoint, ...], substitutes: tuple[str, ...] | None = None) -> Decision:
    return line_up(Decision("chat", "acme", "internal", tiers, pools=POOLS, substitutes=substitutes))


def names(decision: Decision) -> list[list[str]]:
    return [[one.deployment for one in tier] for tier in decision.tiers]


def test_another_model_of_the_same_pool_takes_nothing_over_unsaid() -> None:
    decision = decide((A, M), (B,))
    assert names(decision) == [["a"], ["b"]]
    assert apart(decision) == (M,)
    assert decision.counted == "3 allowed, 0 refused, 1 of another model"


def test_a_named_substitute_does() -> None:
    assert names(decide((A, M), (B,), substitutes=("mistral/large",))) == [["a", "m"], ["b"]]


def test_a_further_pool_of_the_use_case_brings_the_model_that_leads_it() -> None:
    assert names(decide((A, M), (B,), (N,))) == [["a"], ["b"], ["n"]]


def test_who_names_substitutes_gets_no_others_from_further_pools() -> None:
    assert names(decide((A, M), (B,), (N,), substitutes=())) == [["a"], ["b"]]


def test_two_versions_of_a_model_are_two_models_and_one_of_them_can_be_named() -> None:
    old, new = endpoint("a", version="2025-04-14"), endpoint("b", version="2026-01-20")
    assert names(decide((old,), (new,))) == [["a"]]
    assert names(decide((old,), (new,), substitutes=("openai/gpt@2026-01-20",))) == [["a"], ["b"]]
    assert names(decide((old,), (new,), substitutes=("openai/gpt@2027-01-01",))) == [["a"]]
    assert names(decide((old,), (new,), substitutes=("openai/gpt",))) == [["a"], ["b"]]


def test_an_engine_that_starts_keeps_its_place_so_that_no_other_model_answers_meanwhile() -> None:
    starting = msgspec.structs.replace(endpoint("a", engine=True), missing="its engine is starting")
    decision = line_up(Decision("chat", "acme", "internal", ((M,),), pools=POOLS, unconfigured=(starting,)))
    assert names(decision) == []
    assert apart(decision) == (M,)


def test_a_deployment_that_is_not_configured_leads_nothing() -> None:
    elsewhere = msgspec.structs.replace(A, missing="credentials: not set")
    decision = line_up(Decision("chat", "acme", "internal", ((M,),), pools=POOLS, unconfigured=(elsewhere,)))
    assert names(decision) == [["m"]]


def test_where_a_request_may_not_go_to_the_first_model_the_next_one_leads() -> None:
    decision = without(decide((A, M), (B,)), frozenset("ab"))
    assert names(decision) == [["m"]]


@settings(max_examples=100, deadline=None)
@given(estate=estates(), substitutes=st.sampled_from([None, (), ("v/a",), ("v/b",), ("v/a", "v/b")]))
def test_no_call_goes_to_what_policy_does_not_allow_nor_to_a_model_that_nobody_named(
    estate: Estate, substitutes: tuple[str, ...] | None
) -> None:
    cases = {name: msgspec.structs.replace(one, substitutes=substitutes) for name, one in estate.use_cases.items()}
    plain = compiled(estate)
    for unit, offers in compiled(msgspec.structs.replace(estate, use_cases=cases)).offers.items():
        for name, offer in offers.items():
            for data_class, decision in offer.decisions.items():
                may = {one.deployment for one in plain.offers[unit][name].decisions[data_class].all_allowed}
                assert {one.deployment for one in decision.all_allowed} == may
                assert {one.deployment for one in decision.endpoints} <= may
                if substitutes is not None and decision.tiers:
                    first = decision.tiers[0][0].model
                    assert {one.model for one in decision.endpoints} <= {first, *substitutes}
