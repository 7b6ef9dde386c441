from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from trunkline.catalog.requests import load_forms
from trunkline.dialects.openai.codec import decode, encode
from trunkline.errors import Malformed, NotPermitted, TooLarge
from trunkline.estate.claims import AppliesTo, Basis, Claim
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.stages import Permitted
from trunkline.estate.use_cases import Parameters
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import permit, still_permitted
from trunkline.policy.request import _by_kind as by_kind
from trunkline.policy.request import _by_limit_field as by_limit_field
from trunkline.policy.request import _uses as uses
from trunkline.policy.request import examine
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller

CALLER = Caller(key=KeyId("key_1"), unit="sales", cost_centre="CC-1400")
HELLO = [{"role": "user", "content": "hello"}]
AWAY = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def changed(estate: Estate, section: str, name: str, **fields: Any) -> Estate:
    table = dict(getattr(estate, section))
    table[name] = msgspec.structs.replace(table[name], **fields)
    return msgspec.structs.replace(estate, **{section: table})


def asked(data_class: str | None = "restricted", **fields: Any) -> Asked:
    body = {"model": "general-chat", "messages": HELLO, **fields}
    return msgspec.structs.replace(decode(Operation.CHAT, json.dumps(body).encode()), data_class=data_class)


def names(permitted: Permitted) -> list[str]:
    return [endpoint.deployment for endpoint in permitted.decision.all_allowed]


def sent(permitted: Permitted, deployment: str) -> dict[str, Any]:
    """The body as that deployment would get it."""
    rewrites = [(one.field, one.value) for one in permitted.rewrites if one.holds_at(deployment)]
    body: dict[str, Any] = json.loads(encode(permitted.asked, "m", None, rewrites))
    return body


@pytest.fixture(scope="module")
def snapshot(acme: Estate, surroundings: Surroundings, now: int) -> Snapshot:
    return compile_estate(acme, surroundings, now)


def limited(acme: Estate, surroundings: Surroundings, now: int, **limits: Any) -> Snapshot:
    estate = changed(acme, "use_cases", "general-chat", data_class="public", parameters=Parameters(**limits))
    return compile_estate(estate, surroundings, now)


ALL = ["gpt-reserved", "mistral-house", "smol"]


def test_a_plain_request_goes_everywhere_and_stays_as_it_is(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, CALLER, asked(temperature=0, tools=[{"type": "function", "function": {"name": "f"}}]))
    assert names(permitted) == ALL
    assert permitted.rewrites == ()


@pytest.mark.parametrize(("field", "value", "instead"), [
    ("store", True, False),
    ("store", 1, False),
    ("store", "yes", False),
    ("prompt_cache_retention", "24h", None),
    ("prompt_cache_retention", "7d", None),
])  # fmt: skip
def test_what_would_be_kept_is_rewritten_where_the_class_forbids_keeping(
    snapshot: Snapshot, field: str, value: Any, instead: Any
) -> None:
    permitted = permit(snapshot, CALLER, asked(**{field: value}))
    assert names(permitted) == ALL
    for deployment in ALL:
        assert sent(permitted, deployment).get(field) is instead
    (rewrite,) = permitted.rewrites
    assert str(rewrite).startswith(f"set {field}=false" if instead is False else f"dropped {field}")


@pytest.mark.parametrize(("field", "value"), [
    ("store", False),
    ("store", None),
    ("prompt_cache_retention", "in_memory"),
    ("prompt_cache_retention", None),
    ("modalities", ["text"]),
    ("tools", None),
    ("tools", []),
    ("tools", [{"type": "custom", "custom": {"name": "f"}}]),
    ("web_search_options", None),
    ("plugins", []),
    ("messages", [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
    ("messages", [{"role": "user", "content": [PICTURE]}]),
    ("messages", [{"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}]),
])  # fmt: skip
def test_a_harmless_value_changes_nothing(snapshot: Snapshot, field: str, value: Any) -> None:
    permitted = permit(snapshot, CALLER, asked(**{field: value}))
    assert names(permitted) == ALL
    assert permitted.rewrites == ()


@pytest.mark.parametrize(("field", "value", "feature"), [
    ("web_search_options", {}, "web_search"),
    ("search_parameters", {"mode": "auto"}, "web_search"),
    ("plugins", [{"id": "web"}], "remote_tool"),
    ("audio", {"voice": "alloy"}, "audio_answer"),
    ("modalities", ["text", "audio"], "audio_answer"),
    ("tools", [{"type": "web_search_preview_2025_03_11"}], "web_search"),
    ("tools", [{"type": "file_search"}], "file_search"),
    ("tools", [{"type": "code_interpreter"}], "code_interpreter"),
    ("tools", [{"type": "mcp", "server_url": "https://example.org"}], "remote_tool"),
    ("tools", [{"type": "computer_use_preview"}], "computer_use"),
    ("tools", [{"type": "function"}, {"type": "mind_reading"}], "remote_tool"),
    ("tools", [{"type": "function_call_elsewhere"}], "remote_tool"),
    ("tools", [{}], "remote_tool"),
    ("tools", "everything", "remote_tool"),
    ("tools", [{"type": 7}], "remote_tool"),
    ("messages", [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}], "files"),
    ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.org/x"}}]}],
     "fetched_url"),
    ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": "https://e.org/x"}]}], "fetched_url"),
])  # fmt: skip
def test_what_reaches_out_is_refused_where_no_claim_covers_it(
    snapshot: Snapshot, field: str, value: Any, feature: str
) -> None:
    with pytest.raises(NotPermitted) as refusal:
        permit(snapshot, CALLER, asked(**{field: value}))
    assert (refusal.value.code, refusal.value.param) == ("request_not_permitted", field)
    said = str(refusal.value)
    assert f"the request uses {feature} in `{field}`" in said
    assert re.search("data class (internal|confidential|restricted) requires", said)
    assert said.endswith("ask unit platform, its owner")


def test_a_name_written_with_escapes_is_read_all_the_same(snapshot: Snapshot) -> None:
    piece = r'[{"role":"user","content":[{"\u0074ype":"file","file":{"f\u0069le_id":"file-1"}}]}]'
    request = asked()
    request = msgspec.structs.replace(request, fields={**request.fields, "messages": msgspec.Raw(piece.encode())})
    with pytest.raises(NotPermitted, match="uses files in `messages`"):
        permit(snapshot, CALLER, request)


def test_text_that_speaks_of_types_and_files_is_text(snapshot: Snapshot) -> None:
    text = 'say {"type": "file", "file": {"file_id": "file-1"}} and \u00e9\n'
    assert names(permit(snapshot, CALLER, asked(messages=[{"role": "user", "content": text}]))) == ALL


def test_a_looser_class_lets_through_what_a_stricter_one_forbids(snapshot: Snapshot) -> None:
    permitted = permit(snapshot, CALLER, asked(None, store=True, web_search_options={}))
    assert names(permitted) == ["gpt-reserved", "gpt-payg", "gpt-saas", "mistral-house", "smol"]
    assert permitted.rewrites == ()
    with pytest.raises(NotPermitted, match="data class internal requires training_use is never"):
        permit(snapshot, CALLER, asked(None, tools=[{"type": "mcp"}]))


def covered(acme: Estate, *features: str, **more: Any) -> Estate:
    """The estate with claims at one deployment that cover features by name."""
    controls = acme.deployments["gpt-reserved"].controls
    wider = {
        name: msgspec.structs.replace(claim, applies_to=AppliesTo(features=features), **more)
        for name, claim in controls.items()
    }
    return changed(acme, "deployments", "gpt-reserved", controls=wider)


def test_only_the_deployments_whose_claims_cover_the_feature_are_left(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compile_estate(covered(acme, "files", "stored_answer"), surroundings, now)
    piece = {"type": "file", "file": {"file_id": "file-1"}}
    permitted = permit(snapshot, CALLER, asked(messages=[{"role": "user", "content": [piece]}]))
    assert names(permitted) == ["gpt-reserved"]
    refused = {denial.deployment: denial for denial in permitted.decision.denials}
    assert refused["smol"].rule == "data class restricted requires app_state_retention_days is at most 0"
    assert refused["smol"].claim == (
        "the request uses files in `messages`: with files, no claim on app_state_retention_days"
    )
    stored = permit(snapshot, CALLER, asked(store=True))
    assert names(stored) == ALL
    assert sent(stored, "gpt-reserved")["store"] is True
    assert sent(stored, "smol")["store"] is False


def test_a_claim_that_covers_a_feature_is_worth_no_more_than_its_value(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    kept = Claim(value=30, basis=Basis.CONTRACT, applies_to=AppliesTo(features=("files",)))
    controls = {**acme.deployments["gpt-reserved"].controls, "app_state_retention_days": kept}
    snapshot = compile_estate(changed(acme, "deployments", "gpt-reserved", controls=controls), surroundings, now)
    assert names(permit(snapshot, CALLER, asked())) == ["mistral-house", "smol"]


def test_what_a_vendor_publishes_of_a_feature_is_said(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = changed(acme, "use_cases", "general-chat", pools=("central",))
    with pytest.raises(NotPermitted) as refusal:
        permit(
            compile_estate(estate, surroundings, now),
            CALLER,
            asked(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]),
        )
    assert (
        "with files, app_state_retention_days is until_deleted (basis published_default, 'Azure OpenAI: Data, privacy "
        "and security for Azure OpenAI', verified 2026-11-21, expires 2027-11-21)"
    ) in str(refusal.value)


def test_a_dialect_that_nothing_is_known_of_is_refused_where_requests_matter(snapshot: Snapshot) -> None:
    with pytest.raises(NotPermitted, match="nothing is known of chat in the dialect tongues"):
        permit(snapshot, CALLER, msgspec.structs.replace(asked(), dialect="tongues"))


def test_a_decision_that_watches_nothing_lets_nothing_through_unexamined(snapshot: Snapshot) -> None:
    decision = permit(snapshot, CALLER, asked()).decision
    assert decision.watched
    assert examine(decision, asked()) is None
    assert examine(decision, asked(store=False)) is not None
    with pytest.raises(NotPermitted, match="nothing is known of chat in the dialect openai"):
        examine(msgspec.structs.replace(decision, watched=None), asked())


@pytest.mark.parametrize(("kind", "feature"), [
    ("web_search", "web"), ("web_search_2025_08_26", "web"), ("web_search_deep_2", "deep"), ("bash_20250124", None),
    ("bash", "other"), ("function", None), ("functional", "other"), ("", "other"),
])  # fmt: skip
def test_a_type_of_tool_is_known_by_the_longest_name_that_it_begins_with(kind: str, feature: str | None) -> None:
    kinds = {"web_search": "web", "web_search_deep": "deep", "function": None, "bash_": None}
    assert by_kind(kinds, kind, "other") == feature


@pytest.mark.parametrize(("dialect", "limit", "field"), [
    ("openai", "max_tokens", "max_tokens"),
    ("openai", "max_completion_tokens", "max_completion_tokens"),
    ("openai", "max_words", "max_completion_tokens"),
    ("tongues", "max_tokens", "max_completion_tokens"),
])  # fmt: skip
def test_a_limit_is_written_in_the_field_that_both_the_front_door_and_the_deployment_know(
    snapshot: Snapshot, dialect: str, limit: str, field: str
) -> None:
    endpoint = msgspec.structs.replace(snapshot.endpoints["smol"], dialect=dialect, output_limit=limit)
    form = load_forms()["openai", "chat"]
    assert by_limit_field([endpoint], form, "openai") == {field: ["smol"]}


def test_an_output_limit_is_set_where_there_is_none_in_the_field_that_the_vendor_takes(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    permitted = permit(limited(acme, surroundings, now, max_output_tokens=200), CALLER, asked(None))
    assert permitted.asked.output_limit == 200
    assert sent(permitted, "gpt-saas")["max_completion_tokens"] == 200
    assert "max_tokens" not in sent(permitted, "gpt-saas")
    assert sent(permitted, "smol")["max_tokens"] == 200


@pytest.mark.parametrize(("given", "becomes"), [
    ({"max_tokens": 500}, {"max_tokens": 200}),
    ({"max_tokens": 201}, {"max_tokens": 200}),
    ({"max_tokens": 200}, {"max_tokens": 200}),
    ({"max_completion_tokens": 50}, {"max_completion_tokens": 50}),
    ({"max_completion_tokens": 50, "max_tokens": 900}, {"max_completion_tokens": 50, "max_tokens": 200}),
])  # fmt: skip
def test_an_output_limit_above_the_use_cases_is_lowered_to_it(
    acme: Estate, surroundings: Surroundings, now: int, given: dict[str, int], becomes: dict[str, int]
) -> None:
    permitted = permit(limited(acme, surroundings, now, max_output_tokens=200), CALLER, asked(None, **given))
    assert {name: sent(permitted, "smol")[name] for name in becomes} == becomes
    assert permitted.asked.output_limit == min(becomes.values())
    assert {one.field for one in permitted.rewrites} == {name for name in given if given[name] != becomes[name]}


@pytest.mark.parametrize(("dialect", "tool", "feature"), [
    ("anthropic", {"name": "f"}, None),
    ("anthropic", {"type": "custom", "name": "f"}, None),
    ("anthropic", {"type": "bash_20250124"}, None),
    ("anthropic", {"type": "mcp_toolset"}, "remote_tool"),
    ("anthropic", {"type": "web_fetch_20250910"}, "web_search"),
    ("anthropic", {"type": "newer"}, "remote_tool"),
    ("openai", {"function": {}}, "remote_tool"),
    ("openai", {"type": "function"}, None),
])  # fmt: skip
def test_a_tool_uses_what_its_type_says_and_without_one_what_the_dialect_takes_it_for(
    dialect: str, tool: dict[str, Any], feature: str | None
) -> None:
    request = Asked(Operation.CHAT, dialect, "m", {"tools": msgspec.Raw(json.dumps([tool]).encode())})
    found = [use.feature for use in uses(load_forms()[dialect, "chat"], ["tools"], request)]
    assert found == ([] if feature is None else [feature])


def test_what_is_not_configured_is_barred_by_what_a_request_uses_like_all_others(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    around = msgspec.structs.replace(surroundings, resolve=lambda reference: (None, f"{reference} is not set"))
    files = AppliesTo(features=("files",))
    claims = {
        name: Claim(0, Basis.OPERATOR_RUN, applies_to=files)
        for name in ("app_state_retention_days", "abuse_log_retention_days")
    }
    claims |= {"human_review": Claim("never", Basis.OPERATOR_RUN, applies_to=files)}
    claims |= {"training_use": Claim("never", Basis.OPERATOR_RUN, applies_to=files)}
    snapshot = compile_estate(changed(acme, "deployments", "smol", controls=claims), around, now)
    plain = permit(snapshot, CALLER, asked()).decision
    assert [one.deployment for one in plain.unconfigured] == ["gpt-reserved", "mistral-house"]
    piece = {"type": "file", "file": {"file_id": "file-1"}}
    used = permit(snapshot, CALLER, asked(messages=[{"role": "user", "content": [piece]}])).decision
    assert [one.deployment for one in used.unconfigured] == []
    assert [one.deployment for one in used.all_allowed] == ["smol"]


def test_an_output_limit_that_is_no_whole_number_is_replaced(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    limits = {"max_tokens": msgspec.Raw(b"900.5"), "max_completion_tokens": msgspec.Raw(b"10")}
    odd = msgspec.structs.replace(asked(None), fields={**asked(None).fields, **limits})
    permitted = permit(limited(acme, surroundings, now, max_output_tokens=200), CALLER, odd)
    assert [(one.field, one.value) for one in permitted.rewrites] == [("max_tokens", b"200")]


def test_a_limit_on_answers_is_no_concern_of_embeddings(acme: Estate, surroundings: Surroundings, now: int) -> None:
    estate = changed(acme, "use_cases", "search-vectors", parameters=Parameters(max_output_tokens=200))
    body = b'{"model": "search-vectors", "input": "hello"}'
    permitted = permit(compile_estate(estate, surroundings, now), CALLER, decode(Operation.EMBEDDINGS, body))
    assert (permitted.rewrites, names(permitted)) == ((), ["minilm"])


@pytest.mark.parametrize(("limits", "given", "param"), [
    ({"tools": False}, {"tools": [{"type": "function"}]}, "tools"),
    ({"tools": False}, {"functions": [{"name": "f"}]}, "functions"),
    ({"tools": ("custom",)}, {"tools": [{"type": "custom"}, {"type": "function"}]}, "tools"),
    ({"tools": ("custom",)}, {"tools": [{}]}, "tools"),
    ({"tools": ("function",)}, {"tools": "all"}, "tools"),
    ({"answers": 2}, {"n": 3}, "n"),
    ({"modalities": ("text",)}, {"messages": [{"role": "user", "content": [PICTURE]}]}, "messages"),
    ({"modalities": ("image",)}, {"modalities": ["audio"]}, "modalities"),
    ({"modalities": ("image",)}, {"modalities": {}}, "modalities"),
])  # fmt: skip
def test_what_the_use_case_does_not_let_a_request_ask_for_is_refused(
    acme: Estate, surroundings: Surroundings, now: int, limits: dict[str, Any], given: dict[str, Any], param: str
) -> None:
    with pytest.raises(NotPermitted, match="use case general-chat allows") as refusal:
        permit(limited(acme, surroundings, now, **limits), CALLER, asked(None, **given))
    assert (refusal.value.code, refusal.value.param) == ("parameter_not_permitted", param)


def test_what_is_no_list_of_tools_is_refused_as_something_else(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    with pytest.raises(NotPermitted, match=r"allows no tools, and this offers something else\."):
        permit(limited(acme, surroundings, now, tools=False), CALLER, asked(None, tools={"type": "function"}))
    with pytest.raises(NotPermitted, match=r"allows tools of type custom alone, and this offers function\."):
        permit(limited(acme, surroundings, now, tools=("custom",)), CALLER, asked(None, functions=[{"name": "f"}]))


@pytest.mark.parametrize(("limits", "given"), [
    ({"tools": True}, {"tools": [{"type": "function"}]}),
    ({"answers": 2}, {"tools": [{"type": "function"}]}),
    ({"tools": False}, {"tools": []}),
    ({"tools": False}, {"tools": None}),
    ({"tools": ("function",)}, {"functions": [{"name": "f"}]}),
    ({"answers": 2}, {"n": 2}),
    ({"modalities": ("image",)}, {"messages": [{"role": "user", "content": [PICTURE]}]}),
    ({"modalities": ("image",)}, {"messages": [{"role": "user", "content": [AWAY]}]}),
    ({"modalities": ("text",)}, {"modalities": ["text"]}),
    ({"modalities": ("text",)}, {"modalities": None}),
    ({"modalities": ("image",)}, {"modalities": ["text"]}),
    ({"max_request_bytes": 500}, {}),
    ({"answers": 2}, {"messages": [{"role": "user", "content": [PICTURE]}], "modalities": ["text", "audio"]}),
])  # fmt: skip
def test_what_the_use_case_lets_a_request_ask_for_passes_as_it_is(
    acme: Estate, surroundings: Surroundings, now: int, limits: dict[str, Any], given: dict[str, Any]
) -> None:
    permitted = permit(limited(acme, surroundings, now, **limits), CALLER, asked(None, **given))
    assert permitted.rewrites == ()
    assert len(names(permitted)) == 5


def test_a_request_larger_than_the_use_case_allows_is_too_large(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    request = asked(None)
    exact = limited(acme, surroundings, now, max_request_bytes=request.prompt_bound)
    assert names(permit(exact, CALLER, request))
    smaller = limited(acme, surroundings, now, max_request_bytes=request.prompt_bound - 1)
    with pytest.raises(TooLarge, match="takes requests of"):
        permit(smaller, CALLER, request)


def test_answers_are_bounded_even_where_no_use_case_says_so(snapshot: Snapshot) -> None:
    assert permit(snapshot, CALLER, asked(n=128)).asked.answers == 128
    with pytest.raises(Malformed, match="`n` is 129; it must be 128 or less"):
        permit(snapshot, CALLER, asked(n=129))


def test_an_attempt_is_not_permitted_any_more_when_the_estate_of_the_moment_asks_for_a_rewrite_it_lacks(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    lenient = compile_estate(covered(acme, "stored_answer"), surroundings, now)
    permitted = permit(lenient, CALLER, asked(store=True))
    reserved, smol = lenient.endpoints["gpt-reserved"], lenient.endpoints["smol"]
    assert still_permitted(lenient, permitted, reserved)
    assert not still_permitted(snapshot, permitted, reserved)
    assert still_permitted(snapshot, permitted, smol)
    strict = permit(snapshot, CALLER, asked(store=True))
    assert still_permitted(lenient, strict, reserved)


def test_an_attempt_is_not_permitted_any_more_when_the_request_is_not(
    acme: Estate, surroundings: Surroundings, now: int, snapshot: Snapshot
) -> None:
    lenient = compile_estate(covered(acme, "files"), surroundings, now)
    piece = {"type": "file", "file": {"file_id": "file-1"}}
    permitted = permit(lenient, CALLER, asked(messages=[{"role": "user", "content": [piece]}]))
    assert still_permitted(lenient, permitted, lenient.endpoints["gpt-reserved"])
    assert not still_permitted(snapshot, permitted, snapshot.endpoints["gpt-reserved"])


def stated(**fields: Any) -> Asked:
    """A request at a front door where answers are stored unless it says otherwise."""
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return Asked(
        operation=Operation.CHAT, dialect="responses", model="general-chat", fields=raw, data_class="restricted"
    )


@pytest.mark.parametrize("fields", [{}, {"input": "hi"}, {"store": True}, {"store": None, "input": []}])
def test_where_answers_are_stored_unless_told_otherwise_it_is_told(snapshot: Snapshot, fields: dict[str, Any]) -> None:
    (rewrite,) = permit(snapshot, CALLER, stated(**fields)).rewrites
    assert (rewrite.field, rewrite.value) == ("store", b"false")


def test_what_goes_on_from_a_stored_answer_or_works_on_after_the_call_is_held_back(snapshot: Snapshot) -> None:
    for fields in ({"previous_response_id": "r"}, {"conversation": "c"}, {"input": [{"type": "item_reference"}]}):
        with pytest.raises(NotPermitted, match="uses stored_answer"):
            permit(snapshot, CALLER, stated(store=False, **fields))
    permitted = permit(snapshot, CALLER, stated(store=False, background=True))
    assert [(one.field, one.value) for one in permitted.rewrites] == [("background", b"false")]
    assert permit(snapshot, CALLER, stated(store=False, background=False)).rewrites == ()
