"""Acme's own scenarios, end to end: the example's estate in front of scripted upstreams that write down what they see.

Every deployment of the example stands at a path of its own on one scripted upstream, so that what each of them ever
received is on record; claims are the example's, dated so that they hold for long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from ruamel.yaml import YAML
from tests.path.exchange import KEY_NAME, Exchange, exchange
from tests.path.raw import Answer, ask
from tests.upstreams import script as scripts
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream, in_thread

ACME = Path(__file__).parents[2] / "examples" / "acme" / "estate.yaml"
LASTING = {"verified_at": "2020-01-01", "expires": "2099-01-01"}
PUBLISHED = {"basis": "published_default", "evidence": "The provider's public pages", **LASTING}
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]
CLASS = "x-trunkline-data-class"

HOUSE = ["mistral-house", "smol"]


class Scenario(NamedTuple):
    """A use case, called by a unit, raised to a class or not; and where the call may go, in order."""

    use_case: str
    unit: str
    data_class: str | None
    may: list[str]


SCENARIOS = (
    Scenario("security-triage", "security", None, HOUSE),
    Scenario("content-drafts", "marketing", None, ["mistral-brand", "gpt-reserved", *HOUSE]),
    Scenario("content-drafts", "sales", "restricted", ["gpt-reserved", *HOUSE]),
    Scenario("hr-answers", "hr", None, [*HOUSE, "gpt-reserved"]),
    Scenario("workflow", "finance", None, ["gpt-reserved", "gpt-payg"]),
    Scenario("workflow", "finance", "confidential", ["gpt-reserved"]),
    Scenario("general-chat", "marketing", None, ["gpt-reserved", "gpt-payg", "gpt-saas", *HOUSE]),
    Scenario("general-chat", "marketing", "restricted", ["gpt-reserved", *HOUSE]),
    Scenario("finance-reports", "finance", None, ["gpt-reserved", *HOUSE]),
)
every_scenario = pytest.mark.parametrize(
    "scenario", [pytest.param(one, id="-".join(filter(None, one[:3]))) for one in SCENARIOS]
)


def acme(upstream: Upstream) -> dict[str, Any]:
    """The example's estate, each deployment at a path of its own, with one more use case that nothing can serve."""
    made: dict[str, Any] = YAML(typ="safe").load(ACME.read_text("utf-8"))
    for name, deployment in made["deployments"].items():
        claims = {control: {**claim, **LASTING} for control, claim in deployment.get("controls", {}).items()}
        if deployment.pop("engine", None) is not None:
            house = made["deployments"]["mistral-house"]["controls"]
            claims = {control: {**claim, **LASTING} for control, claim in house.items()}
        deployment.setdefault("price", {"input_mtok": 1, "output_mtok": 2})
        claims.setdefault("training_use", {"value": "never", **PUBLISHED})
        claims.setdefault("human_review", {"value": "flagged_only", **PUBLISHED})
        deployment |= {
            "url": f"{upstream.url.removesuffix('/v1')}/{name}",
            "credentials": KEY_NAME,
            "dialect": "openai",
            "controls": claims,
            "timeouts": {"connect": 2, "first_byte": 1, "between": 1, "total": 20},
            "tolerance": {"failures": 1_000_000, "share": 1},  # What one test breaks stays in order for the next one.
            "retries": 0,
        }
    made["exchange_rates"] = {}
    made["use_cases"]["leaflets"] = {
        "owner": "marketing", "audience": ["acme"], "data_class": "confidential", "pools": ["checkout"]
    }  # fmt: skip
    return made


@pytest.fixture(scope="module")
def upstream_of_module() -> Iterator[Upstream]:
    with in_thread() as upstream:
        yield upstream


@pytest.fixture
def upstream(upstream_of_module: Upstream) -> Upstream:
    upstream_of_module.reset()
    return upstream_of_module


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, upstream_of_module: Upstream) -> Iterator[Exchange]:
    """Acme's exchange."""
    with exchange(tmp_path_factory.mktemp("acme"), acme(upstream_of_module)) as started:
        yield started


@pytest.fixture(scope="module")
def keys(running: Exchange) -> dict[str, str]:
    """A key for each unit that a scenario calls as."""
    return {unit: running.key(unit) for unit in dict.fromkeys(one.unit for one in SCENARIOS)}


def seen(upstream: Upstream) -> list[str]:
    """Which deployments received a request, in order; one is asked twice when a kept connection was stale."""
    return list(dict.fromkeys(received.path.split("/")[1] for received in upstream.received))


def call(
    running: Exchange, key: str, use_case: str, data_class: str | None, customer: str, *, stream: bool = False
) -> Answer:
    body = {"model": use_case, "messages": HI, "user": customer, "stream": stream}
    return ask(running.port, key, body, headers={CLASS: data_class} if data_class else None)


@every_scenario
def test_a_call_goes_to_the_first_deployment_that_may_see_it(
    running: Exchange, keys: dict[str, str], upstream: Upstream, customer: str, scenario: Scenario
) -> None:
    use_case, unit, data_class, may = scenario
    got = call(running, keys[unit], use_case, data_class, customer)
    assert got.status == 200
    assert got.headers["x-trunkline-deployment"] == may[0]
    assert seen(upstream) == may[:1]
    (row,) = running.attempts_of(customer, 1)
    asked = ", as the caller asked" if data_class else ""
    assert row["decision"].startswith(f"{use_case} as {row['data_class']}{asked}: {len(may)} allowed, ")
    assert row["decision"].endswith("; tier 1")


FAULTS = {
    "answers 500": scripts.SERVER_ERROR,
    "answers 429": Script(status=429, headers=(("retry-after", "0"),)),
    "closes": scripts.DROP,
    "never answers": scripts.HANG_BEFORE_HEAD,
    "breaks the stream": Script(error_after=0),
}


@every_scenario
@pytest.mark.parametrize("fault", ["answers 500", "closes"])
def test_however_many_fail_nothing_goes_where_it_may_not(
    running: Exchange, keys: dict[str, str], upstream: Upstream, customer: str, scenario: Scenario, fault: str
) -> None:
    use_case, unit, data_class, may = scenario
    upstream.default = FAULTS[fault]
    got = call(running, keys[unit], use_case, data_class, customer, stream=True)
    assert got.status == 502
    assert got.error is not None
    assert seen(upstream) == may
    assert all(name in got.error["message"] for name in may)
    assert [row["deployment"] for row in running.attempts_of(customer, len(may))] == may


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_the_third_fallback_is_held_to_the_rule_as_the_first_is(
    running: Exchange, keys: dict[str, str], upstream: Upstream, customer: str, fault: str
) -> None:
    may = SCENARIOS[1].may
    upstream.choose = lambda received: None if f"/{may[-1]}/" in received.path else FAULTS[fault]
    got = call(running, keys["marketing"], "content-drafts", None, customer, stream=True)
    assert got.status == 200
    assert got.headers["x-trunkline-deployment"] == may[-1]
    assert seen(upstream) == may


@pytest.mark.parametrize("data_class", [None, "internal", "confidential", "restricted"])
def test_no_header_takes_security_operations_out_of_the_house(
    running: Exchange, keys: dict[str, str], upstream: Upstream, customer: str, data_class: str | None
) -> None:
    upstream.choose = lambda received: scripts.SERVER_ERROR if "/mistral-house/" in received.path else None
    assert call(running, keys["security"], "security-triage", data_class, customer).status == 200
    assert seen(upstream) == HOUSE


def test_a_developer_is_told_what_to_do_and_a_security_officer_which_rule_and_claim(
    running: Exchange, keys: dict[str, str], upstream: Upstream
) -> None:
    with (
        openai.OpenAI(api_key=keys["marketing"], base_url=running.url) as sdk,
        pytest.raises(openai.PermissionDeniedError) as caught,
    ):
        sdk.chat.completions.create(model="leaflets", messages=HI)
    error: Any = caught.value.body
    message = error["message"]
    assert error["code"] == "no_deployment_allowed"
    assert "use case leaflets under data class confidential" in message
    assert (
        "gpt-checkout: data class confidential requires training_use is never (basis contract or stronger)" in message
    )
    assert "basis published_default, 'The provider's public pages', verified 2020-01-01" in message
    assert "Ask unit marketing, its owner" in message
    assert caught.value.response.headers["x-trunkline-request-id"].startswith("req_")
    assert not upstream.received
    running.await_booked()
    assert "leaflets" not in running.command("ledger", "sum", "--by", "use_case", "--json")


def test_others_use_cases_are_closed_and_say_whom_to_ask(
    running: Exchange, keys: dict[str, str], upstream: Upstream
) -> None:
    with openai.OpenAI(api_key=keys["sales"], base_url=running.url) as sdk:
        for use_case, owner in (("hr-answers", "hr"), ("security-triage", "security"), ("finance-reports", "finance")):
            with pytest.raises(openai.PermissionDeniedError, match=f"ask unit {owner}, its owner"):
                sdk.chat.completions.create(model=use_case, messages=HI)
    assert not upstream.received


def test_the_ledger_shows_the_decision_in_words(
    running: Exchange, keys: dict[str, str], upstream: Upstream, customer: str
) -> None:
    upstream.choose = lambda received: scripts.SERVER_ERROR if "/mistral-house/" in received.path else None
    call(running, keys["hr"], "hr-answers", "restricted", customer)
    first, _ = running.attempts_of(customer, 2)
    shown = running.command("ledger", "show", first["request_id"])
    assert "hr-answers" in shown
    assert "restricted, the caller asked for it" in shown
    assert "3 deployments allowed, 2 refused" in shown
    assert "tier 2 after 1 failed" in shown


def test_explain_says_of_the_running_exchange_what_it_does(running: Exchange, tmp_path: Path) -> None:
    for use_case, _, data_class, may in SCENARIOS:
        options = ("--data-class", data_class) if data_class else ()
        rows = running.rows("explain", use_case, *options)
        assert [row["deployment"] for row in rows if row["order"]] == may
