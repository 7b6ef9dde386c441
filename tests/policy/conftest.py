from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

from trunkline.catalog.profile import load_profiles
from trunkline.catalog.vendor import load_vendors
from trunkline.clock import as_nanos
from trunkline.estate.endpoints import Address
from trunkline.estate.estate import Estate
from trunkline.policy.surroundings import Surroundings

NOW = as_nanos(datetime(2026, 11, 22, 12, tzinfo=UTC))

ENVIRONMENT = {
    "env:OPENAI_API_KEY": "sk-openai",
    "env:AZURE_OPENAI_KEY": "azure-key",
    "env:ACME_VLLM_URL": "http://10.0.0.7:8000",
}


def resolve(reference: str) -> tuple[str | None, str]:
    if not reference.startswith("env:"):
        return reference, ""
    return ENVIRONMENT.get(reference), f"{reference} is not set"


def dated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: dated(one) for key, one in value.items()}
    if isinstance(value, list):
        return [dated(one) for one in value]
    if isinstance(value, date):
        return datetime.combine(value, time.max, UTC)
    return value


@pytest.fixture(scope="session")
def now() -> int:
    return NOW


@pytest.fixture(scope="session")
def acme() -> Estate:
    raw = dated(YAML(typ="safe").load(Path(__file__).with_name("acme.yaml").read_text()))
    rates = [
        {"currency": currency, "rate": rate["EUR"], "since": rate["from"]}
        for currency, rate in raw.pop("exchange_rates").items()
    ]
    return msgspec.convert({**raw, "name": raw.pop("estate"), "exchange_rates": rates, "version": "1a2b"}, Estate)


@pytest.fixture(scope="session")
def surroundings() -> Surroundings:
    """Everything is configured and runs, except Bedrock, whose dialect is not spoken."""
    return Surroundings(
        vendors=load_vendors(),
        profiles=load_profiles(),
        resolve=resolve,
        addresses={
            "smol": Address(url="http://127.0.0.1:4001", key="k1"),
            "minilm": Address(url="http://127.0.0.1:4002/v1", key="k2"),
        },
    )
