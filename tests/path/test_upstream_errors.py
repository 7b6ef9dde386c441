"""What providers' errors mean to official SDKs of either dialect, when nobody else can answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from tests.path.exchange import Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.messages import GOLDEN
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

LANES: Final = 40
HI: Final[Any] = [{"role": "user", "content": "hi"}]
DIALECTS: Final = {
    "openai": {},
    "anthropic": {"boundary": "claude", "dialect": "anthropic", "model": "anthropic/some-model"},
}
WAIT: Final = (("retry-after", "7"),)
REASON: Final = {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
FILTERED: Final = json.dumps({"type": "error", "error": REASON})
TOO_LONG: Final = (GOLDEN / "error_context.json").read_bytes()
LIMITED: Final = (openai.RateLimitError, anthropic.RateLimitError)
SERVER: Final = (openai.InternalServerError, anthropic.InternalServerError)
CASES: Final[dict[str, Any]] = {
    "rate": (Script(status=429, headers=WAIT), *LIMITED, 429, "upstream_rate_limit"),
    "overload": (Script(status=503, headers=WAIT), *SERVER, 503, "upstream_overloaded"),
    "overload of Anthropic's": (Script(status=529, headers=WAIT), *SERVER, 503, "upstream_overloaded"),
    "key refused": (Script(status=401), *SERVER, 502, "upstream_key_refused"),
    "not found": (Script(status=404), *SERVER, 502, "upstream_not_found"),
    "broken": (Script(status=500), *SERVER, 502, "upstream_failed"),
}


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream, spare_of_module: Upstream
) -> Iterator[Exchange]:
    deployments: dict[str, Any] = {}
    tiers: dict[str, list[list[str]]] = {}
    for dialect, more in DIALECTS.items():
        for number in range(LANES):
            name = f"{dialect}-{number}"
            deployments[name] = deployment(vendor_of_module.url, **more)
            deployments[f"{name}-next"] = deployment(spare_of_module.url)
            tiers[name] = [[name]]
            tiers[f"{name}-both"] = [[name], [f"{name}-next"]]
    made = estate(deployments, tiers)
    for name in tiers:
        if name.endswith("-both"):
            made["use_cases"][name]["substitutes"] = ["openai/gpt-4.1-mini"]
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    with exchange(tmp_path_factory.mktemp("errors"), made) as started:
        yield started


@pytest.fixture
def claude(running: Exchange, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=key, base_url=running.root, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(params=sorted(DIALECTS))
def lane_of(request: pytest.FixtureRequest, lane: int) -> str:
    """A use case of the test's own, at a deployment of each dialect."""
    return f"{request.param}-{lane}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("door", ["openai", "anthropic"])
def test_an_error_of_the_only_deployment_keeps_its_meaning(
    sdk: openai.OpenAI, claude: anthropic.Anthropic, vendor: Upstream, lane_of: str, case: str, door: str
) -> None:
    vendor.default, of_openai, of_anthropic, status, code = CASES[case]
    caught: Any
    if door == "openai":
        with pytest.raises(of_openai) as caught:
            sdk.chat.completions.create(model=lane_of, messages=HI)
        assert caught.value.code == code
    else:
        with pytest.raises(of_anthropic) as caught:
            claude.messages.create(model=lane_of, max_tokens=9, messages=HI)
        assert caught.value.body["error"]["code"] == code
    headers = caught.value.response.headers
    assert caught.value.status_code == status
    assert headers["x-trunkline-upstream-status"] == str(vendor.default.status)
    assert headers["x-trunkline-deployment"] == lane_of
    assert headers.get("retry-after") == ("7" if vendor.default.headers else None)
    assert ("x-should-retry" in headers) == (code in {"upstream_key_refused", "upstream_not_found"})


def test_the_log_line_of_a_refusal_names_the_upstreams_status_and_id(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = Script(status=401, headers=(("request-id", "req_theirs"),))
    got = ask(running.port, key, {"model": f"openai-{lane}", "messages": HI})
    assert got.headers["x-trunkline-upstream-request-id"] == "req_upstream"
    lines = [
        json.loads(line) for line in (running.folder.parent / "up.log").read_text().splitlines() if '"refused"' in line
    ]
    (line,) = [line for line in lines if line["request_id"] == got.headers["x-trunkline-request-id"]]
    assert (line["deployment"], line["upstream_status"]) == (f"openai-{lane}", 401)
    assert (line["upstream_request_id"], line["trouble"]) == ("req_upstream", "authentication")


def test_a_prompt_too_long_for_anthropics_model_goes_to_the_next(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, lane: int
) -> None:
    vendor.default = Script(status=400, body=TOO_LONG)
    got = sdk.chat.completions.create(model=f"anthropic-{lane}-both", messages=HI)
    assert got.choices[0].message.content == Script().text
    assert (len(vendor.received), len(spare.received)) == (1, 1)


def test_what_a_filter_refuses_is_a_bad_request_that_says_so(sdk: openai.OpenAI, vendor: Upstream, lane: int) -> None:
    vendor.default = Script(status=400, body=FILTERED.encode())
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model=f"anthropic-{lane}", messages=HI)
    assert caught.value.code == "content_filter"
    assert caught.value.response.headers["x-trunkline-upstream-status"] == "400"


def test_words_alone_tell_a_prompt_too_long_where_a_server_has_no_code_for_it(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, lane: int
) -> None:
    words = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    said = {"error": {"message": words, "type": "BadRequestError", "param": None, "code": 400}}
    vendor.default = Script(status=400, body=json.dumps(said).encode())
    sdk.chat.completions.create(model=f"openai-{lane}-both", messages=HI)
    assert (len(vendor.received), len(spare.received)) == (1, 1)


def test_a_rate_limit_beside_an_overload_is_an_overload_and_beside_a_fault_a_failure(
    sdk: openai.OpenAI, vendor: Upstream, spare: Upstream, lane: int
) -> None:
    vendor.default, spare.default = Script(status=429), Script(status=503, headers=WAIT)
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(model=f"openai-{lane}-both", messages=HI)
    assert (caught.value.status_code, caught.value.response.headers["retry-after"]) == (503, "7")


def test_a_wrong_key_told_with_a_400_is_not_the_callers_fault(sdk: openai.OpenAI, vendor: Upstream, lane: int) -> None:
    said = {"error": {"message": "bad key sk-secret", "type": "invalid_request_error", "code": "invalid_api_key"}}
    vendor.default = Script(status=400, body=json.dumps(said).encode())
    with pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(model=f"openai-{lane}", messages=HI)
    assert caught.value.code == "upstream_key_refused"
    assert "sk-secret" not in str(caught.value)
