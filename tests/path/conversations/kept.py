"""What the tests of kept conversations declare, ask and look at."""

from __future__ import annotations

import json
from typing import Any

import openai
from tests.path.exchange import CLAIMS, deployment, estate
from tests.upstreams.script import Script
from tests.upstreams.scripted import Upstream

USE_CASE = "x-trunkline-use-case"
WHOLE = Script().text
TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
        "strict": False,
    }
]
DOORS = ["chat", "claude", "gemini", "native"]
STREAMED = [False, True]
SAID = {
    "basis": "enforced_setting",
    "verified_at": "2020-01-01",
    "expires": "2099-01-01",
    "evidence": {"title": "Set so"},
}
KEEPS_NOTHING = {"app_state_retention_days": {"value": 0} | SAID}
CLOSED = {"network": {"value": "loopback"} | SAID}


def declared(vendor: Upstream, spare: Upstream) -> dict[str, Any]:
    """A deployment of each dialect, under use cases that keep and that do not."""
    strict = {"controls": CLAIMS | CLOSED | KEEPS_NOTHING}
    deployments = {
        "chat": deployment(vendor.url),
        "claude": deployment(vendor.url, model="anthropic/some-model", boundary="claude", dialect="anthropic"),
        "gemini": deployment(
            vendor.url.removesuffix("/v1"), model="google/some-model", boundary="google", dialect="gemini"
        ),
        "native": deployment(vendor.url, dialect="responses"),
        "closed": deployment(spare.url, dialect="responses", **strict),
        "other": deployment(spare.url, dialect="responses"),
    }
    tiers = {name: [[name]] for name in ("chat", "claude", "gemini", "native")}
    tiers |= {"none": [["native"]], "loose": [["chat"]], "their": [["native"]], "mixed": [["other"], ["closed"]]}
    tiers |= {"spill": [["native"], ["other"]], "week": [["closed"]]}
    made = estate(deployments, tiers)
    made["boundaries"]["claude"] = made["boundaries"]["vendor"] | {"provider": "anthropic"}
    made["boundaries"]["google"] = made["boundaries"]["vendor"] | {"provider": "google"}
    cases = made["use_cases"]
    for name in (*DOORS, "mixed", "spill"):
        cases[name]["keeps"] = {}
    cases["native"]["instructions"] = "Be kind."
    cases["loose"]["uncarried"] = "drop"
    cases["their"]["keeps"] = {"by": "deployment"}
    cases["week"]["keeps"] = {"days": 7}
    made["data_classes"]["sealed"] = {"requires": {"app_state_retention_days": {"at_most": 7}}}
    made["stores"] = {"conversations": {"controls": CLOSED}}
    return made


def sent(upstream: Upstream) -> dict[str, Any]:
    """The last request that an upstream got."""
    body: dict[str, Any] = json.loads(upstream.received[-1].body)
    return body


def stored(answer: Any) -> Any:
    """What an answer says of itself; the SDK has no name for it."""
    return answer.store


def answered(sdk: openai.OpenAI, stream: bool, **asked: Any) -> Any:
    """A response, streamed or not; of a stream its events must agree on the id."""
    if not stream:
        return sdk.responses.create(**asked)
    with sdk.responses.create(stream=True, **asked) as events:
        responses = [event.response for event in events if hasattr(event, "response")]
    assert len({one.id for one in responses}) == 1
    return responses[-1]


def of(use_case: str, **more: str) -> dict[str, str]:
    return {USE_CASE: use_case, **more}


def said(sdk: openai.OpenAI, dialogue_id: str) -> list[str]:
    """Who said what, oldest first."""
    items: Any = sdk.conversations.items.list(dialogue_id, order="asc", limit=3)
    return [f"{item.role}: {item.content[0].text}" for item in items]
