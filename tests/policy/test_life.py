from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from trunkline.clock import as_datetime, as_nanos
from trunkline.errors import NotPermitted, Unknown
from trunkline.estate.estate import Estate
from trunkline.estate.snapshot import Snapshot
from trunkline.estate.use_cases import State
from trunkline.ids import KeyId
from trunkline.messages import Asked, Operation
from trunkline.policy.compile import compile_estate
from trunkline.policy.permit import offered, permit
from trunkline.policy.surroundings import Surroundings
from trunkline.tenancy.callers import Caller


def caller(unit: str) -> Caller:
    return Caller(key=KeyId("key_1"), unit=unit, cost_centre="CC-1400")


def asked(model: str) -> Asked:
    return Asked(operation=Operation.CHAT, dialect="openai", model=model, fields={})


def compiled(acme: Estate, surroundings: Surroundings, now: int, **cases: Any) -> Snapshot:
    use_cases = dict(acme.use_cases)
    for name, fields in cases.items():
        use_cases[name] = msgspec.structs.replace(use_cases[name], **fields)
    return compile_estate(msgspec.structs.replace(acme, use_cases=use_cases), surroundings, now)


def test_a_draft_is_offered_to_its_owner_alone(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = compiled(acme, surroundings, now, workflow={"state": State.DRAFT})
    assert {unit for unit, offers in snapshot.offers.items() if "workflow" in offers} == {"engineering"}
    assert snapshot.warnings == ("use case workflow is a draft: only unit engineering, its owner, is offered it",)
    assert permit(snapshot, caller("engineering"), asked("workflow")).decision.warning == ""
    with pytest.raises(NotPermitted, match="use case workflow is not open to unit sales"):
        permit(snapshot, caller("sales"), asked("workflow"))


def test_a_deprecated_use_case_answers_with_what_to_use_instead(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compiled(acme, surroundings, now, workflow={"state": State.DEPRECATED, "successor": "general-chat"})
    decision = permit(snapshot, caller("sales"), asked("workflow")).decision
    assert decision.warning == "use case workflow is deprecated; use general-chat"
    assert decision.sunset is None
    assert (decision.deprecated, decision.successor) == (now, "general-chat")
    alone = compiled(acme, surroundings, now, workflow={"state": State.DEPRECATED})
    assert permit(alone, caller("sales"), asked("workflow")).decision.warning == "use case workflow is deprecated"


def test_a_deprecated_use_case_is_retired_from_its_day_on(acme: Estate, surroundings: Surroundings, now: int) -> None:
    ends = as_datetime(now) + timedelta(days=1)
    case = {"state": State.DEPRECATED, "successor": "general-chat", "retires": ends}
    snapshot = compiled(acme, surroundings, now, workflow=case)
    decision = permit(snapshot, caller("sales"), asked("workflow")).decision
    assert decision.warning == "use case workflow is deprecated and ends on 2026-11-23; use general-chat"
    assert decision.sunset == snapshot.good_until == as_nanos(ends)
    before = compiled(acme, surroundings, as_nanos(ends) - 1, workflow=case)
    assert "workflow" in before.offers["sales"]
    after = compiled(acme, surroundings, as_nanos(ends), workflow=case)
    with pytest.raises(Unknown) as refusal:
        permit(after, caller("sales"), asked("workflow"))
    assert (refusal.value.status, refusal.value.code) == (404, "use_case_retired")
    assert after.good_until > as_nanos(ends)


def test_a_retired_use_case_names_the_first_successor_that_still_answers(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    snapshot = compiled(
        acme,
        surroundings,
        now,
        **{
            "workflow": {"state": State.RETIRED, "successor": "content-drafts"},
            "content-drafts": {"state": State.RETIRED, "successor": "general-chat"},
            "hr-answers": {"state": State.RETIRED},
        },
    )
    with pytest.raises(Unknown) as refusal:
        permit(snapshot, caller("sales"), asked("workflow"))
    assert str(refusal.value) == (
        "use case workflow is retired; use general-chat, which took its place. Its owner was unit engineering"
    )
    with pytest.raises(Unknown, match="use case hr-answers is retired; nothing took its place"):
        permit(snapshot, caller("hr"), asked("hr-answers"))
    assert "workflow" not in [offer.name for offer in offered(snapshot, caller("sales"))]
    assert "use case workflow is retired: nobody is offered it" in snapshot.warnings


def test_a_deprecated_use_case_tells_since_when_and_who_still_answers(
    acme: Estate, surroundings: Surroundings, now: int
) -> None:
    since = as_datetime(now) - timedelta(days=9)
    snapshot = compiled(
        acme,
        surroundings,
        now,
        **{
            "workflow": {"state": State.DEPRECATED, "successor": "content-drafts", "deprecated_at": since},
            "content-drafts": {"state": State.RETIRED, "successor": "general-chat"},
            "general-chat": {"successor": "search-vectors"},
        },
    )
    decision = permit(snapshot, caller("sales"), asked("workflow")).decision
    assert decision.warning == "use case workflow is deprecated; use general-chat"
    assert (decision.deprecated, decision.successor) == (as_nanos(since), "general-chat")
    active = permit(snapshot, caller("sales"), asked("general-chat")).decision
    assert (active.deprecated, active.successor) == (None, None)


def test_only_a_deprecated_use_case_is_retired_by_its_day(acme: Estate, surroundings: Surroundings, now: int) -> None:
    over = as_datetime(now) - timedelta(days=1)
    snapshot = compiled(acme, surroundings, now, workflow={"state": State.ACTIVE, "retires": over})
    assert "workflow" in snapshot.offers["sales"]
    drafted = compiled(acme, surroundings, now, workflow={"state": State.DRAFT, "retires": over})
    assert "workflow" in drafted.offers["engineering"]


def test_retired_successors_in_a_circle_end_with_none(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = compiled(
        acme,
        surroundings,
        now,
        **{
            "workflow": {"state": State.RETIRED, "successor": "hr-answers"},
            "hr-answers": {"state": State.RETIRED, "successor": "workflow"},
        },
    )
    assert snapshot.retired["workflow"].successor is None


def test_the_version_of_a_use_case_stands_in_its_decisions(acme: Estate, surroundings: Surroundings, now: int) -> None:
    snapshot = compiled(acme, surroundings, now, workflow={"version": 4})
    assert permit(snapshot, caller("sales"), asked("workflow")).decision.version == "4"
    assert permit(snapshot, caller("sales"), asked("general-chat")).decision.version == ""
