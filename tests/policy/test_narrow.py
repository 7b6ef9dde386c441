from __future__ import annotations

import msgspec
from tests.policy.test_explain import NOW, row, told

from trunkline.estate.decisions import Denial
from trunkline.estate.estate import Estate
from trunkline.messages import Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.failover import without
from trunkline.policy.narrow import narrow, settle
from trunkline.policy.surroundings import Surroundings


def test_a_request_keeps_to_its_operation_and_its_model(acme: Estate, surroundings: Surroundings) -> None:
    whole = told(acme, surroundings, "general-chat")
    one = narrow(whole, Operation.CHAT, "openai/gpt-4.1-mini")
    ordered = [row.deployment for row in one.rows if row.order]
    assert ordered == ["gpt-reserved", "gpt-payg", "gpt-saas"]
    assert [row.order for row in one.rows if row.order] == [1, 2, 3]
    assert "names the model" in one.rows[-1].checks[0].rule
    assert not narrow(told(acme, surroundings, "search-vectors"), Operation.CHAT).allowed


def test_what_a_request_is_refused_beyond_its_use_case_is_told(acme: Estate, surroundings: Surroundings) -> None:
    whole = told(acme, surroundings, "general-chat")
    decision = compile_estate(acme, surroundings, NOW).offers["acme"]["general-chat"].decisions["internal"]
    assert settle(whole, decision) == whole
    denial = Denial("gpt-reserved", "tools are not allowed there", "the request has tools")
    left = without(decision, frozenset(["gpt-reserved"]))
    fewer = msgspec.structs.replace(left, denials=(*decision.denials, denial))
    settled = settle(whole, fewer)
    refused = row(settled, "gpt-reserved")
    assert not refused.allowed
    assert refused.order is None
    assert refused.telling is not None
    assert refused.telling.rule == "tools are not allowed there"
    assert [one.order for one in settled.rows if one.order] == [1, 2, 3, 4]
