from __future__ import annotations

import pytest

from trunkline.catalog.requests import load_forms
from trunkline.estate.decisions import Denial
from trunkline.estate.use_cases import Parameters
from trunkline.policy.watches import Watches

CHAT = ("openai", "chat")
DENIAL = Denial("", "a rule", "a claim")


def barred(*features: str) -> dict[str, dict[str, Denial]]:
    return {"somewhere": dict.fromkeys(features, DENIAL)}


def test_nothing_is_watched_where_nothing_is_barred_or_limited() -> None:
    assert Watches().watch({}, None) is None
    assert Watches().watch({"somewhere": {}}, None) is None
    assert Watches().watch({}, Parameters()) is not None


@pytest.mark.parametrize(("features", "fields", "prompt"), [
    (("stored_answer",), {"store"}, ""),
    (("extended_prompt_cache",), {"prompt_cache_retention"}, ""),
    (("remote_tool",), {"plugins", "tools"}, ""),
    (("audio_answer",), {"audio", "modalities"}, ""),
    (("files",), set(), "messages"),
    (("fetched_url",), set(), "messages"),
    (("files", "fetched_url"), set(), "messages"),
    (("computer_use", "fetched_url"), {"tools"}, "messages"),
])  # fmt: skip
def test_the_fields_that_may_use_what_is_barred_are_watched(
    features: tuple[str, ...], fields: set[str], prompt: str
) -> None:
    watch = (Watches().watch(barred(*features), None) or {})[CHAT]
    assert (set(watch.fields), watch.prompt, watch.always) == (fields, prompt, False)


def test_every_request_is_watched_where_parameters_are_limited_or_leaving_a_field_out_uses_something() -> None:
    for features in ((), ("files",)):
        watched = Watches().watch(barred(*features), Parameters())
        assert watched is not None
        assert all(watch.always for watch in watched.values())
    watched = Watches().watch(barred("stored_answer"), None) or {}
    assert {place for place, watch in watched.items() if watch.always} == {("responses", "chat")}


def test_decisions_that_bar_the_same_share_their_watch_and_others_do_not() -> None:
    watches = Watches()
    first = watches.watch(barred("files"), None)
    assert watches.watch({"a": {"files": DENIAL}, "b": {"files": DENIAL}}, None) is first
    assert watches.watch(barred("files"), Parameters()) is not first
    assert watches.watch(barred("web_search"), None) is not first
    assert set(first or {}) == set(load_forms())
