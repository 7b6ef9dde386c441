"""What the exchange refuses: the SDK's right typed error, a stable code, a message that says what to do."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from tests.path.exchange import ADMIN_KEY, Exchange
from tests.path.raw import HELLO, ask
from tests.upstreams import script as scripts
from tests.upstreams.scripted import Upstream

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


def code_of(error: openai.APIStatusError) -> str:
    body: Any = error.body
    assert set(body) >= {"message", "type", "param", "code"}
    code: str = body["code"]
    return code


def test_without_a_valid_key_nothing_is_answered_and_nothing_written(running: Exchange, vendor: Upstream) -> None:
    running.await_booked()
    before = running.rows("ledger", "sum", "--by", "unit")
    for given, code in ((None, "missing_api_key"), ("sk-unknown", "invalid_api_key"), ("x" * 5000, "invalid_api_key")):
        got = ask(running.port, given, HELLO)
        assert got.status == 401
        assert got.error is not None
        assert got.error["code"] == code
        assert got.headers["x-trunkline-request-id"].startswith("req_")
    assert not vendor.received
    assert running.rows("ledger", "sum", "--by", "unit") == before


def test_an_unknown_key_is_the_sdks_authentication_error(running: Exchange) -> None:
    with (
        openai.OpenAI(api_key="sk-unknown", base_url=running.url, max_retries=0) as sdk,
        pytest.raises(openai.AuthenticationError),
    ):
        sdk.chat.completions.create(model="chat", messages=HI)


def test_an_unknown_name_is_not_found_and_the_nearest_is_named(sdk: openai.OpenAI, vendor: Upstream) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(model="chatt", messages=HI)
    assert code_of(caught.value) == "model_not_found"
    assert "chat" in caught.value.message.replace("chatt", "")
    assert not vendor.received


def test_a_use_case_of_others_is_not_permitted(sdk: openai.OpenAI, vendor: Upstream) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        sdk.chat.completions.create(model="drafts", messages=HI)
    assert "marketing" in caught.value.message
    assert not vendor.received


def test_a_data_class_that_no_claim_satisfies_is_refused_with_rule_and_claim(
    sdk: openai.OpenAI, vendor: Upstream
) -> None:
    with pytest.raises(openai.PermissionDeniedError) as caught:
        sdk.chat.completions.create(model="secret", messages=HI)
    assert "network" in caught.value.message
    assert not vendor.received


def test_a_raised_data_class_is_held_and_a_lower_one_is_ignored(sdk: openai.OpenAI, vendor: Upstream) -> None:
    header = "x-trunkline-data-class"
    with pytest.raises(openai.PermissionDeniedError):
        sdk.chat.completions.create(model="chat", messages=HI, extra_headers={header: "restricted"})
    assert not vendor.received
    sdk.chat.completions.create(model="chat", messages=HI, extra_headers={header: "public"})
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="chat", messages=HI, extra_headers={header: "secret"})
    assert "restricted" in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"chat"',
        b"{}",
        b'{"model": 7, "messages": []}',
        b'{"model": "chat", "messages": [}',
        b'{"model": "chat", "messages": [], "stream": "yes"}',
        b'{"model": "chat", "messages": [{"role": "user", "content": "\xff"}]}',
    ],
)
def test_what_cannot_be_read_is_a_bad_request_that_says_why(
    running: Exchange, key: str, vendor: Upstream, body: bytes
) -> None:
    got = ask(running.port, key, body)
    assert got.status == 400
    assert got.error is not None
    assert got.error["message"]
    assert not vendor.received


def test_malformed_json_is_refused_with_its_position(running: Exchange, key: str, vendor: Upstream) -> None:
    got = ask(running.port, key, b'{"model": "chat", "messages": [}')
    assert got.error is not None
    assert "31" in got.error["message"]


def test_an_operation_that_the_model_cannot_do_is_a_bad_request(sdk: openai.OpenAI, vendor: Upstream) -> None:
    with pytest.raises(openai.BadRequestError):
        sdk.chat.completions.create(model="embed", messages=HI)
    assert not vendor.received


def test_a_path_that_is_none_and_a_method_that_is_wrong_say_so(running: Exchange, key: str) -> None:
    assert ask(running.port, key, HELLO, "/v1/no/such/path").status == 404
    assert ask(running.port, key, HELLO, method="PUT").status == 405


@pytest.mark.parametrize(
    ("script", "raised"),
    [
        (scripts.INVALID_REQUEST, openai.BadRequestError),
        (scripts.SERVER_ERROR, openai.InternalServerError),
        (scripts.DROP, openai.InternalServerError),
        (scripts.NOT_HTTP, openai.InternalServerError),
        (scripts.RATE_LIMITED, openai.RateLimitError),
    ],
    ids=["400", "500", "closes", "no HTTP", "429"],
)
def test_an_upstreams_fault_is_the_typed_error_that_it_means(
    sdk: openai.OpenAI, vendor: Upstream, lane: int, script: scripts.Script, raised: type[openai.APIStatusError]
) -> None:
    vendor.default = script
    with pytest.raises(raised) as caught:
        sdk.chat.completions.create(model=f"alone-{lane}", messages=HI)
    assert caught.value.response.headers["x-trunkline-request-id"].startswith("req_")


def test_an_upstream_that_fails_is_a_bad_gateway_that_names_the_deployment(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.DROP
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}"})
    assert got.status == 502
    assert got.error is not None
    assert f"only-{lane}" in got.error["message"]


def test_an_upstream_that_is_silent_is_a_gateway_time_out_that_names_the_deployment(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.HANG_BEFORE_HEAD
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}"})
    assert got.status == 504
    assert got.error is not None
    assert f"only-{lane}" in got.error["message"]


def test_an_upstreams_rate_limit_says_when_to_come_back(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.RATE_LIMITED
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}"})
    assert (got.status, got.headers["retry-after"]) == (429, "1")
    assert "x-should-retry" not in got.headers


def test_a_body_beyond_the_limit_is_too_large_and_goes_nowhere(running: Exchange, key: str, vendor: Upstream) -> None:
    vendor.reset()
    got = ask(running.port, key, b" " * (20 * 1024 * 1024 + 1))
    assert got.status == 413
    assert not vendor.received


def test_the_upstreams_refusal_of_our_own_key_is_not_the_callers_fault(
    running: Exchange, key: str, vendor: Upstream, lane: int
) -> None:
    vendor.default = scripts.UNAUTHENTICATED
    got = ask(running.port, key, HELLO | {"model": f"alone-{lane}"})
    assert got.status == 502


def test_health_readiness_and_metrics_need_no_key(running: Exchange) -> None:
    assert running.get("/healthz")[0] == 200
    assert running.get("/readyz")[0] == 200
    status, text = running.get("/metrics")
    assert status == 200
    assert "# TYPE trunkline_" in text


def total(running: Exchange, name: str) -> float:
    """The sum of a metric's samples."""
    lines = running.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith((name + "{", name + " ")))


COUNTED = ("trunkline_attempts_total", "trunkline_tokens_total", "trunkline_cost_total")


def test_the_metrics_count_attempts_tokens_and_cost(running: Exchange, key: str, vendor: Upstream) -> None:
    before = {name: total(running, name) for name in COUNTED}
    assert ask(running.port, key, HELLO).status == 200
    for name, value in before.items():
        assert total(running, name) > value, name


def test_the_metrics_count_requests_by_their_status(running: Exchange, key: str, vendor: Upstream) -> None:
    before = total(running, "trunkline_requests_total")
    assert ask(running.port, key, HELLO).status == 200
    assert ask(running.port, key, HELLO | {"model": "no such"}).status == 404
    assert total(running, "trunkline_requests_total") == before + 2


def test_the_admin_key_works_on_the_data_path_as_the_root_unit(running: Exchange, vendor: Upstream) -> None:
    assert ask(running.port, ADMIN_KEY, HELLO).status == 200


def test_models_need_a_key(running: Exchange) -> None:
    assert running.get("/v1/models")[0] == 401
