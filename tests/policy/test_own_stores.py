from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from trunkline.catalog.stores import STORES
from trunkline.clock import as_datetime, as_nanos
from trunkline.errors import BadEstate
from trunkline.estate.claims import AppliesTo, Basis, Claim, DataClass, Evidence, Requirement
from trunkline.estate.decisions import Decision
from trunkline.estate.estate import Estate
from trunkline.estate.load import load
from trunkline.estate.own_stores import OwnStore
from trunkline.policy.compile import compile_estate
from trunkline.policy.own_stores import weigh_stores
from trunkline.policy.surroundings import Surroundings


def test_content_may_be_kept_where_the_store_meets_the_class(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compile_estate(acme, surroundings, now)
    for store in ("log", "ledger"):
        assert [not snapshot.stores[store][name] for name in snapshot.classes] == [True, True, False, False]
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


HOME = DataClass(requires={"residency_at_rest": Requirement(within=("eu", "on_prem"))})


def claimed(value: str, now: int, **more: object) -> dict[str, OwnStore]:
    claim = Claim(value, basis=Basis.CONTRACT, evidence=Evidence("a contract"), verified_at=as_datetime(now))
    return {"ledger": OwnStore({"residency_at_rest": msgspec.structs.replace(claim, **more)})}


def ledger_holds(now: int, declared: dict[str, OwnStore], *, here: bool) -> bool:
    weighed = weigh_stores({"home": HOME}, now, declared=declared, database_here=here)
    return not weighed["ledger"]["home"]


def test_a_database_elsewhere_proves_nothing_that_a_class_requires_but_what_is_in_the_data_folder_stays(
    now: int,
) -> None:
    assert ledger_holds(now, {}, here=True)
    away = weigh_stores({"home": HOME, "any": DataClass()}, now, database_here=False)
    assert [denial.claim for denial in away["ledger"]["home"]] == ["no claim on residency_at_rest"]
    assert not away["journal"]["home"]
    assert not weigh_stores({"any": DataClass()}, now, database_here=False)["ledger"]["any"]


def test_what_the_estate_claims_of_a_store_counts_while_it_holds(now: int) -> None:
    assert ledger_holds(now, claimed("eu", now), here=False)
    assert not ledger_holds(now, claimed("us", now), here=False)
    assert not ledger_holds(now, claimed("unknown", now), here=False)
    day = as_datetime(now) + timedelta(days=1)
    ends = claimed("eu", now, expires=day)
    assert ledger_holds(now, ends, here=False)
    assert not ledger_holds(as_nanos(day) + 1, ends, here=False)
    assert not ledger_holds(now, claimed("eu", now, applies_to=AppliesTo(endpoints=("chat",))), here=False)


def test_on_this_machine_what_the_operator_says_and_what_the_exchange_knows_must_both_satisfy(now: int) -> None:
    assert ledger_holds(now, claimed("eu", now), here=True)
    assert not ledger_holds(now, claimed("us", now), here=True)


def test_an_estate_is_compiled_again_when_what_it_claims_of_a_store_expires(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    away = msgspec.structs.replace(surroundings, database_here=False)
    soon = as_datetime(now) + timedelta(seconds=5)
    declared = {"ledger": OwnStore({"training_use": Claim("never", Basis.CONTRACT, expires=soon)})}
    estate = msgspec.structs.replace(acme, stores=declared)
    assert compile_estate(estate, away, now).good_until == as_nanos(soon)
    assert not compile_estate(acme, away, now).offers["sales"]["general-chat"].decisions["internal"].may_keep("ledger")


def test_an_estate_names_only_stores_that_take_content_and_their_claims_are_checked(tmp_path: Path) -> None:
    plain = "estate: acme\ncurrency: EUR\nunits: {acme: {cost_centre: CC-1}}\nstores:\n"
    file = tmp_path / "estate.yaml"
    file.write_text(plain + "  ledger: {controls: {residency_at_rest: {value: de, basis: contract}}}\n")
    assert load(file).estate.stores["ledger"].controls["residency_at_rest"].value == "de"
    file.write_text(plain + "  metrics: {}\n  ledgr: {}\n  log: {controls: {residency: {value: de}}}\n")
    with pytest.raises(BadEstate) as refused:
        load(file)
    metrics, ledgr, *log = refused.value.faults
    assert ":5:" in metrics
    assert 'keeps no content under "metrics"' in metrics
    assert 'did you mean "ledger"?' in ledgr
    assert log
