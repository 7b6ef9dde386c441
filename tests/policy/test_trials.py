"""Splits and shadows: who goes where, from when to when, and never beyond what policy allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.policy.test_compile_properties import DEPLOYMENTS, compiled, estates

from trunkline.clock import as_nanos
from trunkline.estate.decisions import Decision
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.trials import Shadow, Split
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit, permit_copy, still_permitted
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller

NOW = as_nanos(datetime.fromisoformat("2026-11-22T12:00:00+01:00"))
CALLER = Caller(KeyId("k"), "sales", "CC-1400")
SHARES = {"gpt-payg": 3, "mistral/mistral-small": 1}
Compiled = Callable[..., Snapshot]


def asked(**more: Any) -> Asked:
    return Asked(Operation.CHAT, "openai", "general-chat", {}, prompt_bound=4, **more)


@pytest.fixture
def made(acme: Estate, surroundings: Surroundings) -> Compiled:
    """Compiles Acme with more said of its general chat."""

    def make(at: int = NOW, **fields: Any) -> Snapshot:
        case = msgspec.structs.replace(acme.use_cases["general-chat"], **fields)
        estate = msgspec.structs.replace(acme, use_cases={**acme.use_cases, "general-chat": case})
        return compile_estate(estate, surroundings, at)

    return make


def firsts(snapshot: Snapshot, *calls: Asked) -> Counter[str]:
    return Counter(next(permit(snapshot, CALLER, one).decision.endpoints).deployment for one in calls)


def test_calls_are_shared_out_by_weight(made: Compiled) -> None:
    drawn = firsts(made(splits={"s": Split(SHARES)}), *(asked(session=f"s{number}") for number in range(2_000)))
    assert set(drawn) == {"gpt-payg", "mistral-house"}
    assert 0.2 < drawn["mistral-house"] / 2_000 < 0.3


def test_a_session_a_key_or_a_customer_stays_where_it_is(made: Compiled) -> None:
    for by, call in (
        ("session", asked(session="one")),
        ("key", asked()),
        ("end_customer", asked(end_customer="shop-17")),
    ):
        assert len(firsts(made(splits={"s": msgspec.convert({"shares": SHARES, "by": by}, Split)}), *[call] * 50)) == 1
    assert len(firsts(made(splits={"s": Split(SHARES, by="call")}), *[asked(session="one")] * 100)) == 2


def test_an_arm_is_followed_by_its_own_model_and_named_substitutes_alone(made: Compiled) -> None:
    decision = permit(made(splits={"s": Split({"gpt-payg": 1})}, substitutes=()), CALLER, asked()).decision
    assert [one.deployment for one in decision.endpoints] == ["gpt-payg", "gpt-reserved", "gpt-saas"]
    decision = permit(made(splits={"s": Split({"mistral/mistral-small": 1})}, substitutes=()), CALLER, asked()).decision
    assert [one.deployment for one in decision.endpoints] == ["mistral-house"]
    assert decision.trial == "split s: mistral/mistral-small"
    assert "split s: mistral/mistral-small" in decision.counted


def test_an_arm_that_policy_refuses_leaves_its_share_to_the_others(made: Compiled) -> None:
    snapshot = made(splits={"s": Split({"gpt-payg": 99, "mistral/mistral-small": 1})})
    raised = [asked(data_class="restricted", session=f"{number}") for number in range(50)]
    assert set(firsts(snapshot, *raised)) == {"mistral-house"}


def test_a_split_holds_from_its_first_day_to_its_last_and_the_snapshot_ends_with_it(made: Compiled) -> None:
    days: dict[str, Any] = {
        "from_": datetime.fromisoformat("2026-11-23T23:59:59.999999+01:00"),  # how a bare date is read
        "until": datetime.fromisoformat("2026-11-24T23:59:59.999999+01:00"),
    }
    split = Split({"mistral/mistral-small": 1}, **days)
    first = as_nanos(datetime.fromisoformat("2026-11-23T00:00:00+01:00"))
    last = as_nanos(datetime.fromisoformat("2026-11-25T00:00:00+01:00"))
    before = made(splits={"s": split})
    assert (set(firsts(before, asked())), before.good_until) == ({"gpt-reserved"}, first)
    during = made(first, splits={"s": split})
    assert (set(firsts(during, asked())), during.good_until) == ({"mistral-house"}, last)
    assert set(firsts(made(last, splits={"s": split}), asked())) == {"gpt-reserved"}


def test_a_call_of_an_arm_goes_on_where_the_split_has_ended_meanwhile_only_if_it_still_may(made: Compiled) -> None:
    permitted = permit(made(splits={"s": Split({"mistral/mistral-small": 1})}), CALLER, asked())
    house = next(permitted.decision.endpoints)
    assert still_permitted(made(), permitted, house)
    assert not still_permitted(made(substitutes=()), permitted, house)
    assert still_permitted(made(substitutes=(), splits={"s": Split(SHARES)}), permitted, house)


def test_a_copy_is_its_owners_and_has_none_of_the_callers_patience(made: Compiled) -> None:
    snapshot = made(shadows={"try": Shadow("mistral-house", 1.0)})
    call = asked(patience=1.0, session="s", end_customer="shop-17")
    permitted = permit(snapshot, CALLER, call)
    (copy,) = permitted.decision.copies
    copied = permit_copy(snapshot, permitted, call, copy.name)
    assert copied is not None
    assert (copied.caller.unit, copied.caller.cost_centre) == ("platform", "CC-2001")
    assert copied.asked == msgspec.structs.replace(call, patience=None, session=None, end_customer=None)
    assert [one.deployment for one in copied.decision.endpoints] == ["mistral-house"]
    assert copied.decision.trial == "shadow try"


def test_no_copy_goes_where_the_class_of_the_call_may_not_go(made: Compiled) -> None:
    snapshot = made(shadows={"try": Shadow("gpt-saas", 1.0)})
    assert permit(snapshot, CALLER, asked()).decision.copies
    raised = asked(data_class="restricted")
    permitted = permit(snapshot, CALLER, raised)
    assert permitted.decision.copies == ()
    assert "training_use" in permitted.decision.refused["try"].rule
    assert permit_copy(snapshot, permitted, raised, "try") is None


def test_a_copy_is_held_against_the_estate_of_its_own_moment(made: Compiled) -> None:
    before = made(shadows={"try": Shadow("gpt-saas", 1.0)})
    permitted = permit(before, CALLER, asked())
    assert permit_copy(made(), permitted, asked(), "try") is None
    assert (
        permit_copy(made(data_class="restricted", shadows={"try": Shadow("gpt-saas", 1.0)}), permitted, asked(), "try")
        is None
    )


def weighted(estate: Estate, arms: dict[str, int], to: str) -> Estate:
    cases = {
        name: msgspec.structs.replace(one, splits={"s": Split(arms)}, shadows={"t": Shadow(to, 1.0)})
        for name, one in estate.use_cases.items()
    }
    return msgspec.structs.replace(estate, use_cases=cases)


@settings(max_examples=100, deadline=None)
@given(
    estate=estates(),
    arms=st.dictionaries(st.sampled_from([*DEPLOYMENTS, "v/a", "v/b"]), st.integers(1, 5), min_size=1, max_size=3),
    to=st.sampled_from(DEPLOYMENTS),
)
def test_neither_splits_nor_shadows_ever_widen_what_policy_allows(
    estate: Estate, arms: dict[str, int], to: str
) -> None:
    plain, tried = compiled(estate), compiled(weighted(estate, arms, to))
    every = {name: msgspec.structs.replace(one, pools=("p", "q", "all")) for name, one in estate.use_cases.items()}
    pool = msgspec.structs.replace(estate.pools["p"], tiers=((to,),))
    anywhere = compiled(msgspec.structs.replace(estate, use_cases=every, pools={**estate.pools, "all": pool}))

    def allowed(decision: Decision) -> set[str]:
        return {one.deployment for one in decision.all_allowed}

    for unit, offers in tried.offers.items():
        for name, offer in offers.items():
            for data_class, decision in offer.decisions.items():
                may = allowed(plain.offers[unit][name].decisions[data_class])
                for branch in (decision, *decision.branches.values()):
                    assert allowed(branch) == may
                    assert {one.deployment for one in branch.endpoints} <= may
                if name in estate.use_cases:
                    known = allowed(anywhere.offers[unit][name].decisions[data_class])
                    assert all({one.deployment for one in copy.decision.endpoints} <= known for copy in decision.copies)
