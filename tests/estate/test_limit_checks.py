from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.errors import BadEstate
from trunkline.estate.estate import Estate
from trunkline.estate.load import load
from trunkline.metering.limits import compile_limits

ESTATE = """
estate: small
currency: EUR
time_zone: Europe/Berlin
units:
  acme: {cost_centre: CC-1}
  sales: {parent: acme, cost_centre: CC-2}
data_classes: {public: {}}
boundaries:
  azure: {provider: azure-openai, owner: acme, quota: QUOTA}
deployments:
  gpt: {model: openai/gpt-4.1-mini, pattern: saas, boundary: azure, capacity: {concurrency: 8}}
pools:
  all: {owner: acme, tiers: [[gpt]]}
use_cases:
  chat: {owner: sales, audience: [acme], data_class: public, pools: [all]}
limits:
"""


def loaded(folder: Path, *limits: str, quota: str = "{rpm: 9}") -> Estate:
    path = folder / "estate.yaml"
    text = ESTATE.lstrip().replace("QUOTA", quota)
    path.write_text(text + "".join(f"  - {{{one}}}\n" for one in limits), "utf-8")
    return load(path).estate


@pytest.mark.parametrize(
    ("limits", "fault"),
    [
        (["on: {unit: sales}"], "a limit needs at least one of tpm, rpm, tpd, rpd, concurrency"),
        (["on: {unit: slaes}, rpm: 5"], 'unit "slaes" is not declared'),
        (["on: {unit: sales}, rpm: 0"], "rpm is 0"),
        (
            ["on: {unit: sales}, rpm: 5", "on: {unit: sales}, rpm: 6, tpm: 7"],
            "18:30: the same node has rpm already, at",
        ),
        (["on: {unit: sales, key: k}, rpm: 5"], "`on` names exactly one thing"),
    ],
)
def test_a_limit_that_cannot_be_is_a_fault_with_its_place(tmp_path: Path, limits: list[str], fault: str) -> None:
    with pytest.raises(BadEstate) as bad:
        loaded(tmp_path, *limits)
    assert fault in str(bad.value)


def test_a_quota_for_a_model_that_nothing_there_has_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadEstate, match=r'no deployment in boundary "azure" has the model openai/gpt-4.1;'):
        loaded(tmp_path, "on: {unit: sales}, rpm: 5", quota="{models: {openai/gpt-4.1: {rpm: 5}}}")


def test_a_call_stands_under_its_key_person_customer_use_case_and_every_unit_above_it(tmp_path: Path) -> None:
    nodes = ("unit: acme", "unit: sales", "use_case: chat", "key: k", "person: ada", "end_customer: shop", "unit: acme")
    limits = compile_limits(
        loaded(
            tmp_path, *(f"on: {{{node}}}, {field}: 5" for node, field in zip(nodes, ["rpm"] * 6 + ["tpd"], strict=True))
        )
    )
    assert [rate.name for rate in limits.above("sales", "chat", "k", "ada", "shop")] == [
        "key:k/rpm",
        "person:ada/rpm",
        "end_customer:shop/rpm",
        "use_case:chat/rpm",
        "unit:sales/rpm",
        "unit:acme/rpm",
        "unit:acme/tpd",
    ]
    assert [rate.name for rate in limits.above("acme", "other", "", "", "")] == ["unit:acme/rpm", "unit:acme/tpd"]


def test_a_deployment_stands_under_its_own_limits_its_boundarys_and_its_models_quota(tmp_path: Path) -> None:
    quota = "{tpm: 100, models: {openai/gpt-4.1-mini: {rpm: 5}}}"
    limits = compile_limits(
        loaded(tmp_path, "on: {deployment: gpt}, rpd: 5", "on: {boundary: azure}, rpm: 3", quota=quota)
    )
    assert [(rate.name, rate.provided, rate.owner) for rate in limits.at["gpt"]] == [
        ("deployment:gpt/rpd", True, "acme"),
        ("boundary:azure/rpm", True, "acme"),
        ("deployment:gpt/capacity/concurrency", True, "acme"),
        ("boundary:azure/quota/tpm", True, "acme"),
        ("boundary:azure/quota/tpm/burst", True, "acme"),
        ("boundary:azure/quota/openai/gpt-4.1-mini/rpm", True, "acme"),
    ]
    assert not limits.of
