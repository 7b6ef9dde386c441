from __future__ import annotations

from trunkline.catalog.stores import STORES
from trunkline.estate.claims import DataClass, Requirement
from trunkline.estate.estate import Estate
from trunkline.estate.stages import Decision
from trunkline.policy.compile import compile_estate
from trunkline.policy.own_stores import may_hold, weigh_stores
from trunkline.policy.surroundings import Surroundings


def test_content_may_be_kept_where_the_store_meets_the_class(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compile_estate(acme, surroundings, now)
    assert [may_hold(snapshot, "log", name) for name in snapshot.classes] == [True, True, False, False]
    assert [may_hold(snapshot, "ledger", name) for name in snapshot.classes] == [True, True, False, False]
    against = snapshot.stores["log"]["restricted"]
    assert (
        against[0].rule == "data class confidential requires human_review is never (basis enforced_setting or stronger)"
    )
    assert against[0].claim == (
        "human_review is always (basis operator_run, 'a store that this exchange keeps', verified 2026-11-22)"
    )
    assert [denial.claim for denial in against[1:3]] == ["no claim on residency_processing", "no claim on network"]


def test_a_store_that_takes_no_content_holds_none_of_any_class(now: int) -> None:
    stores = weigh_stores({"public": DataClass()}, now)
    assert [name for name, against in stores.items() if against["public"]] == [
        name for name, store in STORES.items() if not store.content
    ]


def test_what_nothing_is_known_of_may_hold_nothing(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = compile_estate(acme, surroundings, now)
    assert not may_hold(snapshot, "attic", "public")
    assert not may_hold(snapshot, "log", "secret")


def test_a_stricter_class_never_gains_a_store(now: int) -> None:
    never = Requirement(is_="never")
    classes = {
        "one": DataClass(requires={"human_review": never}),
        "two": DataClass(),
        "three": DataClass(requires={"training_use": never}),
    }
    for against in weigh_stores(classes, now).values():
        assert len(against["one"]) == len(against["two"]) <= len(against["three"])
    assert weigh_stores(classes, now)["ledger"]["one"]
    assert not weigh_stores({"three": classes["three"]}, now)["ledger"]["three"]


def test_a_decision_says_what_may_be_kept(acme: Estate, surroundings: Surroundings, now: int) -> None:
    decisions: dict[str, Decision] = compile_estate(acme, surroundings, now).offers["sales"]["general-chat"].decisions
    assert decisions["internal"].may_keep("journal", "ledger", "log")
    assert not decisions["internal"].may_keep("log", "metrics")
    assert not decisions["restricted"].may_keep("log")
