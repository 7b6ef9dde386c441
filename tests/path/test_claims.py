"""Claims at work on the way: attested answers, rewritten requests, parameters, and the life of a use case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from tests.path.exchange import CLAIMS, Exchange, deployment, estate, exchange
from tests.path.raw import HELLO, ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

from trunkline.catalog.stores import STORES

FOREVER = {"verified_at": "2020-01-01", "expires": "2099-01-01"}
HEADER = {"header": "x-zero-data-retention", "expect": "true"}
BODY = {"body": "inference_geo", "expect": "eu"}
KEPT = {"app_state_retention_days": {"value": 0, "basis": "contract", **FOREVER}}
ANSWERED = Script(headers=(("x-zero-data-retention", "true"),))


def attests(attestation: dict[str, str]) -> dict[str, Any]:
    claim = {"value": "enforced", "basis": "attested_per_response", "attestation": attestation, **FOREVER}
    return {"controls": CLAIMS | {"zero_data_retention": claim}}


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    deployments: dict[str, Any] = {"spare": deployment(spare.url, pattern="cloud_shared")}
    tiers: dict[str, list[list[str]]] = {}
    for number in range(8):
        deployments[f"attested-{number}"] = deployment(vendor.url, **attests(HEADER))
        tiers[f"attested-{number}"] = [[f"attested-{number}"], ["spare"]]
    for number in range(4):
        deployments[f"in-body-{number}"] = deployment(vendor.url, **attests(BODY))
        tiers[f"in-body-{number}"] = [[f"in-body-{number}"]]
    deployments["kept"] = deployment(vendor.url, controls=CLAIMS | KEPT)
    made = estate(deployments, tiers | {"nothing-kept": [["kept"]], "short": [["spare"]], "old": [["spare"]]})
    made["data_classes"]["restricted"] = {"requires": {"app_state_retention_days": {"at_most": 0}}}
    cases = made["use_cases"]
    cases["nothing-kept"] |= {"data_class": "restricted", "version": 3}
    cases["short"] |= {"parameters": {"max_output_tokens": 20, "tools": False}}
    cases["old"] |= {
        "state": "deprecated",
        "successor": "short",
        "deprecated_at": "2026-01-31T12:00:00Z",
        "retires": "2098-12-31T00:00:00Z",
    }
    cases["older"] = cases["short"] | {"state": "retired", "successor": "old"}
    cases["idea"] = cases["short"] | {"state": "draft", "owner": "marketing"}
    return made


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    folder = tmp_path_factory.mktemp("exchange")
    with exchange(folder, declared(vendor_of_module, spare_of_module)) as started:
        yield started


@pytest.fixture(scope="module")
def lanes() -> Iterator[int]:
    return iter(range(8))


@pytest.mark.parametrize("stream", [False, True])
def test_an_attested_answer_is_passed_on(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, lane: int, stream: bool
) -> None:
    vendor.default = ANSWERED
    got = ask(running.port, key, HELLO | {"model": f"attested-{lane}", "stream": stream})
    assert (got.status, got.headers["x-trunkline-deployment"]) == (200, f"attested-{lane}")


@pytest.mark.parametrize("case", [(None, False), (None, True), ("false", False), ("false", True)])
def test_an_answer_that_is_not_attested_never_reaches_the_caller_and_its_deployment_is_left_out(
    running: Exchange,
    key: str,
    vendor: Upstream,
    spare: Upstream,
    lane: int,
    customer: str,
    case: tuple[str | None, bool],
) -> None:
    said, stream = case
    name = f"attested-{lane}"
    vendor.default = Script(pieces=("secret",), headers=() if said is None else (("x-zero-data-retention", said),))
    got = ask(running.port, key, HELLO | {"model": name, "stream": stream, "user": customer})
    assert (got.status, got.headers["x-trunkline-deployment"]) == (200, "spare")
    assert "secret" not in got.body.decode()
    first, second = running.attempts_of(customer, 2)
    instead = "it is not there" if said is None else "it is 'false'"
    assert (first["deployment"], first["status"]) == (name, "failed")
    assert first["error"] == (
        f"{name} must attest zero_data_retention by header x-zero-data-retention being 'true', and {instead}"
    )
    assert second["deployment"] == "spare"
    assert f'trunkline_incidents_total{{deployment="{name}",kind="unattested"}} 1' in running.get("/metrics")[1]

    vendor.default = ANSWERED
    again = ask(running.port, key, HELLO | {"model": name, "stream": stream})
    assert again.headers["x-trunkline-deployment"] == "spare"
    assert len(vendor.received) == 1


@pytest.mark.parametrize(("number", "stream", "geo"), [(0, False, "us"), (1, True, "us"), (2, False, None)])
def test_what_a_body_must_attest_is_read_before_anything_is_passed_on(
    running: Exchange, key: str, vendor: Upstream, number: int, stream: bool, geo: str | None
) -> None:
    vendor.default = Script(pieces=("secret",), extra={} if geo is None else {"inference_geo": geo})
    got = ask(running.port, key, HELLO | {"model": f"in-body-{number}", "stream": stream})
    assert got.status == 502
    assert "secret" not in got.body.decode()
    assert f"in-body-{number}: its answer did not attest zero_data_retention" in got.json["error"]["message"]
    again = ask(running.port, key, HELLO | {"model": f"in-body-{number}"})
    assert (again.status, again.json["error"]["code"]) == (503, "deployment_ejected")


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_body_attests_is_passed_on_whole(running: Exchange, key: str, vendor: Upstream, stream: bool) -> None:
    vendor.default = Script(extra={"inference_geo": "eu"})
    got = ask(running.port, key, HELLO | {"model": "in-body-3", "stream": stream})
    assert got.status == 200
    assert (got.text if stream else got.json["choices"][0]["message"]["content"]) == Script().text


def test_what_may_not_be_kept_is_not_sent_to_be_kept_and_the_ledger_says_so(
    running: Exchange, key: str, vendor: Upstream, customer: str
) -> None:
    asked = HELLO | {"model": "nothing-kept", "user": customer, "store": True, "prompt_cache_retention": "24h"}
    assert ask(running.port, key, asked).status == 200
    (received,) = vendor.received
    assert json.loads(received.body)["store"] is False
    assert "prompt_cache_retention" not in json.loads(received.body)
    (row,) = running.attempts_of(customer, 1)
    assert row["decision"].startswith("nothing-kept 3 as restricted: 1 allowed, 0 refused")
    assert "set store=false (stored_answer)" in row["decision"]
    assert "dropped prompt_cache_retention (extended_prompt_cache)" in row["decision"]


def test_a_request_that_reaches_out_is_refused_with_the_field_and_the_claim(running: Exchange, key: str) -> None:
    got = ask(running.port, key, HELLO | {"model": "nothing-kept", "tools": [{"type": "web_search"}]})
    assert got.status == 403
    error = got.json["error"]
    assert (error["code"], error["param"]) == ("request_not_permitted", "tools")
    assert "data class restricted requires app_state_retention_days is at most 0" in error["message"]


def test_a_use_cases_parameters_are_in_force(running: Exchange, key: str, spare: Upstream) -> None:
    assert ask(running.port, key, HELLO | {"model": "short", "max_tokens": 900}).status == 200
    assert ask(running.port, key, HELLO | {"model": "short"}).status == 200
    sent = [json.loads(one.body) for one in spare.received]
    assert [one.get("max_tokens", one.get("max_completion_tokens")) for one in sent] == [20, 20]
    refused = ask(running.port, key, HELLO | {"model": "short", "tools": [{"type": "function"}]})
    assert (refused.status, refused.json["error"]["code"]) == (403, "parameter_not_permitted")


def test_a_deprecated_use_case_answers_with_a_warning_and_its_last_day(running: Exchange, key: str) -> None:
    got = ask(running.port, key, HELLO | {"model": "old"})
    assert got.status == 200
    assert got.headers["x-trunkline-warning"] == "use case old is deprecated and ends on 2098-12-31; use short"
    assert got.headers["deprecation"] == "@1769860800"
    assert got.headers["sunset"] == "Wed, 31 Dec 2098 00:00:00 GMT"
    assert got.headers["link"] == '</v1/models/short>; rel="successor-version"'
    active = ask(running.port, key, HELLO | {"model": "short"}).headers
    assert {"x-trunkline-warning", "deprecation", "sunset", "link"}.isdisjoint(active)


def test_all_that_an_exchange_writes_belongs_to_one_of_its_own_stores(running: Exchange, key: str) -> None:
    assert ask(running.port, key, HELLO | {"model": "short"}).status == 200
    written = [one.relative_to(running.folder).as_posix() for one in running.folder.rglob("*") if one.is_file()]
    assert {"trunkline.db", "pepper", "exchange.lock"} <= set(written)
    patterns = [pattern for store in STORES.values() for pattern in store.files]
    assert [one for one in written if sum(fnmatchcase(one, pattern) for pattern in patterns) != 1] == []


def test_a_retired_use_case_answers_with_the_name_of_its_successor(running: Exchange, key: str) -> None:
    got = ask(running.port, key, HELLO | {"model": "older"})
    assert (got.status, got.json["error"]["code"]) == (404, "use_case_retired")
    assert "use case older is retired; use old, which took its place" in got.json["error"]["message"]


def test_a_draft_answers_its_owner_alone(running: Exchange, key: str) -> None:
    assert ask(running.port, key, HELLO | {"model": "idea"}).status == 403
    assert ask(running.port, running.key("marketing"), HELLO | {"model": "idea"}).status == 200


def test_what_an_upstream_says_is_kept_only_where_content_of_the_class_may_be(
    running: Exchange, key: str, vendor: Upstream, spare: Upstream, customer: str
) -> None:
    broken = Script(status=500)
    vendor.default = spare.default = broken
    for model in ("nothing-kept", "short"):
        assert ask(running.port, key, HELLO | {"model": model, "user": customer}).status == 502
    strict, loose = running.attempts_of(customer, 2)
    assert strict["error"] == "kept answered 500"
    assert loose["error"].startswith('spare answered 500: {"error"')
