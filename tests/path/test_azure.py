"""Azure OpenAI in both forms of its URL: deployments in the path under a dated version, and the undated v1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.path.exchange import VENDOR_KEY, Exchange, deployment, estate, exchange
from tests.path.raw import ask
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

HI: Any = [{"role": "user", "content": "hi"}]
FORMS = {
    "v1": (None, "/openai/v1/chat/completions"),
    "preview": ("preview", "/openai/v1/chat/completions?api-version=preview"),
    "dated": ("2024-10-21", "/openai/deployments/house%20gpt/chat/completions?api-version=2024-10-21"),
}
FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation"},
    }
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, vendor_of_module: Upstream) -> Iterator[Exchange]:
    deployments = {
        name: {
            field: value
            for field, value in deployment("", boundary=name, upstream_model="house gpt").items()
            if field != "url"
        }
        for name in (*FORMS, "wrong")
    }
    made = estate(deployments, {name: [[name]] for name in deployments})
    plain = made["boundaries"]["vendor"]
    endpoint = vendor_of_module.url.removesuffix("/v1")
    made["boundaries"] = {
        name: plain | {"provider": "azure-openai", "endpoint": endpoint} | ({"api_version": version} if version else {})
        for name, (version, _) in FORMS.items()
    }
    made["boundaries"]["wrong"] = plain | {"provider": "openai", "endpoint": endpoint, "api_version": "2024-10-21"}
    with exchange(tmp_path_factory.mktemp("azure"), made) as started:
        yield started


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_deployment_is_reached_in_the_form_that_its_boundary_says(
    sdk: openai.OpenAI, vendor: Upstream, form: str, stream: bool
) -> None:
    got: Any = sdk.chat.completions.create(model=form, messages=HI, stream=stream)
    if stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in got if chunk.choices) == Script().text
    else:
        assert got.choices[0].message.content == Script().text
    request = vendor.received[-1]
    assert request.path == FORMS[form][1]
    assert (request.header("api-key"), request.header("authorization")) == (VENDOR_KEY, None)
    assert json.loads(request.body)["model"] == "house gpt"


def test_its_content_filter_is_a_bad_request_with_its_own_request_id(sdk: openai.OpenAI, vendor: Upstream) -> None:
    vendor.default = Script(status=400, headers=(("apim-request-id", "abc-123"),), body=json.dumps(FILTERED).encode())
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="dated", messages=HI)
    assert caught.value.code == "content_filter"
    assert caught.value.response.headers["x-trunkline-upstream-request-id"] == "abc-123"


def test_a_version_for_an_api_that_has_none_is_told(running: Exchange, key: str, vendor: Upstream) -> None:
    got = ask(running.port, key, {"model": "wrong", "messages": HI})
    assert (got.status, vendor.received) == (503, [])
    assert b"api_version" in got.body
