from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.estate.endpoints import Address, Endpoint
from trunkline.estate.estate import Estate
from trunkline.messages import Operation
from trunkline.policy.reach import reach
from trunkline.policy.surroundings import Surroundings


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    table = dict(getattr(estate, section))
    table[name] = msgspec.structs.replace(table[name], **fields)
    return msgspec.structs.replace(estate, **{section: table})


def url_of(endpoint: Endpoint) -> str:
    return f"{'https' if endpoint.origin.tls else 'http'}://{endpoint.origin.authority}{endpoint.base_path}"


@pytest.fixture(scope="session")
def endpoints(acme: Estate, surroundings: Surroundings) -> dict[str, Endpoint]:
    return reach(acme, surroundings)


def test_each_kind_of_deployment_is_addressed_by_its_own_rule(endpoints: dict[str, Endpoint]) -> None:
    where = {name: (url_of(one), one.upstream_model) for name, one in endpoints.items() if not one.missing}
    assert where == {
        "gpt-saas": ("https://api.openai.com:443/v1", "gpt-4.1-mini"),
        "gpt-payg": ("https://acme-prod.openai.azure.com:443/openai/v1", "gpt-4.1-mini"),
        "gpt-reserved": ("https://acme-prod.openai.azure.com:443/openai/v1", "acme-gpt-reserved"),
        "mistral-house": ("http://10.0.0.7:8000/v1", "mistral-small"),
        "smol": ("http://127.0.0.1:4001/v1", "smollm2-135m-instruct"),
        "minilm": ("http://127.0.0.1:4002/v1", "all-minilm-l6-v2"),
    }


def test_the_header_lines_name_the_host_and_carry_the_key_as_each_vendor_takes_it(
    endpoints: dict[str, Endpoint],
) -> None:
    assert {name: one.headers.decode().split("\r\n") for name, one in endpoints.items()} == {
        "gpt-saas": ["host: api.openai.com", "authorization: Bearer sk-openai", ""],
        "gpt-payg": ["host: acme-prod.openai.azure.com", "api-key: azure-key", ""],
        "gpt-reserved": ["host: acme-prod.openai.azure.com", "api-key: azure-key", ""],
        "mistral-cloud": [""],
        "mistral-house": ["host: 10.0.0.7:8000", ""],
        "smol": ["host: 127.0.0.1:4001", "authorization: Bearer k1", ""],
        "minilm": ["host: 127.0.0.1:4002", "authorization: Bearer k2", ""],
    }


@pytest.mark.parametrize(("url", "reached"), [
    ("http://vllm.house", "http://vllm.house:80/v1"),
    ("https://vllm.house/", "https://vllm.house:443/v1"),
    ("https://vllm.house:8443/llm/v1/", "https://vllm.house:8443/llm/v1"),
    ("http://[::1]:8000", "http://[::1]:8000/v1"),
])  # fmt: skip
def test_a_url_without_a_path_gets_one_and_a_trailing_slash_is_dropped(
    acme: Estate, surroundings: Surroundings, url: str, reached: str
) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (reference, ""))
    endpoint = reach(changed(acme, "deployments", "mistral-house", url=url), around)["mistral-house"]
    assert (endpoint.missing, url_of(endpoint)) == ("", reached)


@pytest.mark.parametrize("url", [
    "vllm.house:8000", "ftp://vllm.house", "http://", "http://u:p@vllm.house", "http://vllm.house/v1?api-version=1",
    "http://vllm.house/#x", "http://vllm.house:99999", "http://vllm.house/a b", "http://vllm.house/\r\nx: y", "http://vllm.häuser",
])  # fmt: skip
def test_a_url_that_cannot_be_called_makes_the_deployment_not_configured_without_repeating_it(
    acme: Estate, surroundings: Surroundings, url: str
) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (reference, ""))
    endpoint = reach(changed(acme, "deployments", "mistral-house", url=url), around)["mistral-house"]
    assert endpoint.missing.startswith("its url")
    assert url not in endpoint.missing
    assert endpoint.headers == b""


def test_what_does_not_resolve_makes_the_deployment_not_configured_and_says_why(
    acme: Estate, surroundings: Surroundings
) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda name: (None, f"{name} is not set"), addresses={})
    missing = {name: one.missing for name, one in reach(acme, around).items()}
    assert missing == {
        "gpt-saas": "credentials: env:OPENAI_API_KEY is not set",
        "gpt-payg": "endpoint of boundary azure-prod: https://acme-prod.openai.azure.com is not set",
        "gpt-reserved": "endpoint of boundary azure-prod: https://acme-prod.openai.azure.com is not set",
        "mistral-cloud": "this version does not speak the dialect 'bedrock' upstream",
        "mistral-house": "url: env:ACME_VLLM_URL is not set",
        "smol": "its engine is starting",
        "minilm": "its engine is starting",
    }


@pytest.mark.parametrize("key", ["sk\r\nx: y", "sk-\u00e4", "sk\x00"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_and_not_shown(
    acme: Estate, surroundings: Surroundings, key: str
) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (key, ""))
    endpoint = reach(acme, around)["gpt-saas"]
    assert endpoint.missing == "its key holds characters that cannot stand in a header"
    assert endpoint.headers == b""


def test_a_key_read_from_a_file_loses_its_last_line_end(acme: Estate, surroundings: Surroundings) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: ("sk-file\n", ""))
    assert reach(acme, around)["gpt-saas"].headers.endswith(b"\nauthorization: Bearer sk-file\r\n")


def test_an_empty_reference_counts_as_missing(acme: Estate, surroundings: Surroundings) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (" ", ""))
    assert reach(acme, around)["gpt-saas"].missing == "credentials: empty"


def test_a_vendor_that_needs_a_key_is_not_called_without_one(acme: Estate, surroundings: Surroundings) -> None:
    endpoint = reach(changed(acme, "boundaries", "openai-main", credentials=None), surroundings)["gpt-saas"]
    assert endpoint.missing == "boundary openai-main has no `credentials`"


def test_a_deployments_own_credentials_go_before_its_boundarys(acme: Estate, surroundings: Surroundings) -> None:
    estate = changed(acme, "deployments", "gpt-saas", credentials="env:AZURE_OPENAI_KEY")
    assert reach(estate, surroundings)["gpt-saas"].headers.endswith(b"\nauthorization: Bearer azure-key\r\n")


def test_a_vendor_without_an_address_of_its_own_needs_an_endpoint(acme: Estate, surroundings: Surroundings) -> None:
    endpoint = reach(changed(acme, "boundaries", "azure-prod", endpoint=None), surroundings)["gpt-payg"]
    assert endpoint.missing.startswith("Azure OpenAI has no address of its own")


def test_a_provider_that_the_catalogue_does_not_know_works_by_url_alone(
    acme: Estate, surroundings: Surroundings
) -> None:
    estate = changed(acme, "boundaries", "openai-main", provider="newcomer")
    assert "no provider 'newcomer'" in reach(estate, surroundings)["gpt-saas"].missing
    estate = changed(estate, "deployments", "gpt-saas", url="https://newcomer.example")
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (reference, ""))
    endpoint = reach(estate, around)["gpt-saas"]
    assert (endpoint.missing, url_of(endpoint)) == ("", "https://newcomer.example:443/v1")
    assert endpoint.headers.endswith(b"\nauthorization: Bearer env:OPENAI_API_KEY\r\n")


def test_a_regional_address_needs_the_boundarys_region(acme: Estate, surroundings: Surroundings) -> None:
    around = msgspec.structs.replace(
        surroundings, dialects=frozenset({"openai", "bedrock"}), resolve=lambda _: ("k", "")
    )
    acme = changed(acme, "boundaries", "bedrock-eu", credentials="env:KEY")
    assert reach(acme, around)["mistral-cloud"].origin.host == "bedrock-runtime.eu-central-1.amazonaws.com"
    estate = changed(acme, "boundaries", "bedrock-eu", region=None)
    assert reach(estate, around)["mistral-cloud"].missing == "boundary bedrock-eu has no `region`"


def test_a_clouds_own_chain_that_the_vendor_does_not_take_leaves_its_deployments_without_credentials(
    acme: Estate, surroundings: Surroundings
) -> None:
    around = msgspec.structs.replace(surroundings, dialects=frozenset({"openai", "bedrock"}))
    said = "aws-default: Amazon Bedrock takes no tokens of it in this version"
    assert reach(acme, around)["mistral-cloud"].missing == said


def test_an_engines_address_may_carry_a_path(acme: Estate, surroundings: Surroundings) -> None:
    around = msgspec.structs.replace(surroundings, addresses={"smol": Address(url="http://127.0.0.1:1/x/v1", key="k")})
    assert reach(acme, around)["smol"].base_path == "/x/v1"


def test_context_and_output_are_bounded_by_what_is_known(
    acme: Estate, endpoints: dict[str, Endpoint], surroundings: Surroundings
) -> None:
    bounds = {name: (one.context_length, one.output_bound) for name, one in endpoints.items()}
    assert bounds["gpt-saas"] == (1_047_576, 32_768)
    assert bounds["smol"] == (2048, 2048)  # each slot of the engine has that many
    assert bounds["minilm"] == (512, 512)
    declared = reach(changed(acme, "deployments", "gpt-saas", context_length=8_000), surroundings)["gpt-saas"]
    assert (declared.context_length, declared.output_bound) == (8_000, 8_000)
    unknown = reach(acme, msgspec.structs.replace(surroundings, profiles={}))["gpt-saas"]
    assert (unknown.context_length, unknown.output_bound) == (None, 16_384)


def test_declared_capabilities_go_before_the_catalogues(acme: Estate, surroundings: Surroundings) -> None:
    def operations(**fields: Any) -> tuple[Operation, ...]:
        return reach(changed(acme, "deployments", "smol", **fields), surroundings)["smol"].operations

    assert operations() == (Operation.CHAT,)
    assert operations(capabilities=("embeddings", "tools")) == (Operation.EMBEDDINGS,)
    assert operations(capabilities=("chat", "embeddings")) == (Operation.CHAT, Operation.EMBEDDINGS)
    assert operations(capabilities=("tools",)) == (Operation.CHAT,)
    assert operations(model="house/unknown") == (Operation.CHAT, Operation.EMBEDDINGS)
