"""The step that says where a request may go. The only place that makes a `Permitted`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import msgspec

from trunkline.errors import Malformed, NotPermitted, Refusal, Unavailable, Unknown
from trunkline.estate.decisions import Decision
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.snapshot import Offer, Snapshot
from trunkline.estate.stages import Permitted, Rewrite
from trunkline.ids import KeyId
from trunkline.messages import SHADOW, Asked, Operation
from trunkline.policy.request import examine
from trunkline.policy.trials import draw
from trunkline.tenancy.callers import Caller

SHOWN = 3
"""How many near names or near misses a message shows."""

ENGINE_RETRY = 1
"""Seconds after which a call to an engine that is starting is worth another try."""

ECHOED = 80
"""How many characters of a caller's own words a message repeats."""

SHADOWS = KeyId("shadow")
"""What stands for the key of copies in the ledger."""

MOST_ANSWERS = 128
"""The most answers to one request (`n`) that any dialect takes."""

PATHS = {Operation.CHAT: "/v1/chat/completions", Operation.EMBEDDINGS: "/v1/embeddings"}


def permit(snapshot: Snapshot, caller: Caller, asked: Asked) -> Permitted:
    """Return what policy decided for this caller, use case and data class. Costs lookups, and a look at the fields.

    Raises:
        Unknown: the caller has nothing of that name, or it is retired.
        NotPermitted: the use case is not for this caller, no deployment satisfies the data class, or what the request
            uses is not allowed.
        Malformed: the data class does not exist, or the model cannot do what is asked.
        Unavailable: policy allows deployments, but none of them is configured.
        TooLarge: the request is larger than the use case allows.
    """
    decision, note = decide(snapshot, caller, asked)
    if asked.answers > MOST_ANSWERS:
        raise Malformed(f"`n` is {asked.answers}; it must be {MOST_ANSWERS} or less", param="n")
    if decision.drawn is not None:
        decision = decision.branches[draw(decision.drawn, caller, asked)]
    if snapshot.narrow is not None:
        decision = snapshot.narrow(decision, caller, asked)
    if not decision.tiers:
        raise _refuse_empty(decision)
    examined = None if decision.watched is None else examine(decision, asked)
    if examined is None:
        return Permitted(caller, asked, decision, note)
    return Permitted(caller, examined.asked, examined.decision, note, examined.rewrites)


def decide(snapshot: Snapshot, caller: Caller, asked: Asked) -> tuple[Decision, str]:
    """Return what is decided of a use case and data class, whatever is asked of it, and what is to be said of that.

    Raises:
        Unknown: the caller has nothing of that name, or it is retired.
        NotPermitted: the use case is not for this caller.
        Malformed: the data class does not exist, or the model cannot do what is asked.
    """
    offer = find_offer(snapshot, caller, asked.model)
    if offer is None:
        raise _refuse_name(snapshot, caller, asked.model)
    decisions = offer.by_operation.get(asked.operation)
    if decisions is None:
        raise _refuse_operation(offer, asked.operation)
    note = ""
    raised = asked.data_class
    if raised is None:
        decision = decisions[offer.data_class]
    elif raised in decisions:
        decision = decisions[raised]
    elif raised in snapshot.classes:
        decision = decisions[offer.data_class]
        note = f"data class {raised} is looser than {offer.data_class} of use case {offer.use_case}: ignored"
    else:
        raise Malformed(
            f"there is no data class {_short(raised)!r}; from the loosest to the strictest: {_list(snapshot.classes)}",
            code="unknown_data_class",
            param="x-trunkline-data-class",
        )
    return decision, note


def permit_copy(snapshot: Snapshot, permitted: Permitted, asked: Asked, shadow: str) -> Permitted | None:
    """Permit the copy of a call that a shadow makes; None where it holds no more, or policy refuses the copy.

    It is decided for who called and for what was asked, and is then the use case's owner's own: the caller's limits,
    budgets and patience are no part of it.
    """
    offer, data_class = find_offer(snapshot, permitted.caller, asked.model), permitted.decision.data_class
    if offer is None or offer.use_case != permitted.decision.use_case:
        return None
    whole = offer.by_operation.get(asked.operation, {}).get(data_class)
    decision = None if whole is None else next((one.decision for one in whole.copies if one.name == shadow), None)
    if decision is None:
        return None
    if snapshot.narrow is not None:
        decision = snapshot.narrow(decision, permitted.caller, asked)
    rewrites: tuple[Rewrite, ...] = ()
    if decision.tiers and decision.watched is not None:
        try:
            examined = examine(decision, asked)
        except Refusal:
            return None
        if examined is not None:
            decision, asked, rewrites = examined.decision, examined.asked, examined.rewrites
    if not decision.tiers:
        return None
    payer = Caller(SHADOWS, decision.owner, snapshot.cost_centres[decision.owner])
    alone = msgspec.structs.replace(
        asked, end_customer=None, patience=None, time_limit=None, heartbeat=None, session=None
    )
    return Permitted(payer, alone, decision, "", rewrites)


def raise_class(snapshot: Snapshot, permitted: Permitted, data_class: str) -> Permitted:
    """Permit a call anew under a class that its data turned out to have; one that is no stricter changes nothing.

    Raises:
        NotPermitted: nobody knows the class, or no deployment satisfies it.
        Refusal: as `permit`.
    """
    classes = snapshot.classes
    if data_class not in classes:
        raise NotPermitted(
            f"the call holds data of class {_short(data_class)!r}, which the estate does not have; ask unit "
            f"{permitted.decision.owner}, the owner of use case {permitted.decision.use_case}",
            code="no_deployment_allowed",
        )
    own = permitted.decision.data_class
    if own in classes and classes.index(data_class) <= classes.index(own):
        return permitted
    return permit(snapshot, permitted.caller, msgspec.structs.replace(permitted.asked, data_class=data_class))


def offered(snapshot: Snapshot, caller: Caller) -> list[Offer]:
    """Return what the caller may name in `model`, in the order of the estate."""
    names = (*snapshot.offers.get(caller.unit, ()), *snapshot.key_offers.get(caller.key, ()))
    found = (find_offer(snapshot, caller, name) for name in dict.fromkeys(names))
    return [offer for offer in found if offer is not None]


def still_permitted(snapshot: Snapshot, permitted: Permitted, endpoint: Endpoint) -> bool:
    """Whether this snapshot, maybe newer than the one that permitted, still lets the request go to the endpoint.

    The endpoint must stand where it stood: its claims say nothing of another address. What is sent otherwise there must
    be no less than what this snapshot would have sent otherwise.
    """
    offer = find_offer(snapshot, permitted.caller, permitted.asked.model)
    if offer is None or offer.use_case != permitted.decision.use_case:
        return False
    decision = offer.by_operation.get(permitted.asked.operation, {}).get(permitted.decision.data_class)
    if decision is None:
        return False
    return any(_still_goes(snapshot, one, permitted, endpoint) for one in _ways(decision, permitted.decision))


def _ways(decision: Decision, before: Decision) -> Iterator[Decision]:
    """What is decided now of what a call or its copy was permitted by."""
    if before.trial.startswith(SHADOW):
        yield from (copy.decision for copy in decision.copies if copy.decision.trial == before.trial)
    else:
        yield from (decision, *decision.branches.values())


def _still_goes(snapshot: Snapshot, decision: Decision, permitted: Permitted, endpoint: Endpoint) -> bool:
    if snapshot.narrow is not None:
        decision = snapshot.narrow(decision, permitted.caller, permitted.asked)
    needed: tuple[Rewrite, ...] = ()
    if decision.watched is not None:
        try:
            examined = examine(decision, permitted.asked)
        except Refusal:
            return False
        if examined is not None:
            decision, needed = examined.decision, examined.rewrites
    if not any(one is endpoint or _same_place(one, endpoint) for one in decision.endpoints):
        return False
    sent = {(one.field, one.value) for one in permitted.rewrites if one.holds_at(endpoint.deployment)}
    return all((one.field, one.value) in sent for one in needed if one.holds_at(endpoint.deployment))


def find_offer(snapshot: Snapshot, caller: Caller, model: str) -> Offer | None:
    """Return the offer of that name that is open to the caller, or None."""
    offer = snapshot.offers.get(caller.unit, {}).get(model) or snapshot.key_offers.get(caller.key, {}).get(model)
    if offer is None or caller.use_cases is None or offer.use_case in caller.use_cases:
        return offer
    # Several use cases may have the same direct model; the key may be for another one than the first.
    for name in sorted(caller.use_cases):
        other = snapshot.direct.get(name, {}).get(model)
        if other is not None and (
            name in snapshot.offers.get(caller.unit, {}) or name in snapshot.key_offers.get(caller.key, {})
        ):
            return other
    return None


def find_decision(snapshot: Snapshot, caller: Caller, asked: Asked) -> Decision | None:
    """Return what a request is decided by where it may be decided at all; None where `permit` refuses its name."""
    offer = find_offer(snapshot, caller, asked.model)
    decisions = None if offer is None else offer.by_operation.get(asked.operation)
    if offer is None or decisions is None:
        return None
    return decisions.get(asked.data_class or offer.data_class) or decisions[offer.data_class]


def strictest(snapshot: Snapshot, *classes: str) -> str:
    """Return the strictest of data classes, all of which the estate has."""
    return max(classes, key=snapshot.classes.index)


def _refuse_name(snapshot: Snapshot, caller: Caller, model: str) -> Refusal:
    own = snapshot.offers.get(caller.unit, {}).get(model) or snapshot.key_offers.get(caller.key, {}).get(model)
    if own is not None:
        return NotPermitted(
            f"this key is not for use case {own.use_case}; it is for {_list(sorted(caller.use_cases or ()))}. "
            f"Ask unit {snapshot.owners[own.use_case]}, its owner, for a key",
            code="use_case_not_permitted",
            param="model",
        )
    gone = snapshot.retired.get(model)
    if gone is not None:
        instead = f"use {gone.successor}, which took its place" if gone.successor else "nothing took its place"
        return Unknown(
            f"use case {model} is retired; {instead}. Its owner was unit {gone.owner}",
            code="use_case_retired",
            param="model",
        )
    owner = snapshot.owners.get(model)
    if owner is not None:
        return NotPermitted(
            f"use case {model} is not open to unit {caller.unit}; ask unit {owner}, its owner, to add the unit to it",
            code="use_case_not_permitted",
            param="model",
        )
    names = [offer.name for offer in offered(snapshot, caller)]
    # A long name costs difflib time without ever being near.
    near = (
        get_close_matches(model, names, n=SHOWN, cutoff=0.5)
        if len(model) <= 2 * max(map(len, names), default=0)
        else []
    )
    hint = f" Did you mean {_list(near)}?" if near else ""
    return Unknown(
        f"unit {caller.unit} has no model or use case {_short(model)!r}.{hint} GET /v1/models lists yours",
        code="model_not_found",
        param="model",
    )


def _refuse_operation(offer: Offer, asked: Operation) -> Refusal:
    able = [operation for operation in Operation if operation in offer.by_operation]
    instead = " or ".join(PATHS[operation] for operation in able)
    hint = f"it answers {instead}" if instead else "its pools hold no deployment for it"
    return Malformed(
        f"{offer.name} has no deployment that does {asked.value}; {hint}",
        code="operation_not_supported",
        param="model",
    )


def _refuse_empty(decision: Decision) -> Refusal:
    where = f"use case {decision.use_case} under data class {decision.data_class}"
    engines = [one for one in decision.unconfigured if one.engine]
    if engines:
        return Unavailable(
            f"the engine of {_list(one.deployment for one in engines)} is starting, and {where} has no other "
            "deployment that can be called. Try again in a moment; if it stays so, ask the operator of this exchange",
            code="engine_starting",
            retry_after=ENGINE_RETRY,
        )
    if decision.unconfigured:
        reasons = "; ".join(f"{one.deployment}: {one.missing}" for one in decision.unconfigured[:SHOWN])
        return Unavailable(
            f"policy allows {len(decision.unconfigured)} deployment(s) for {where}, but none is configured. "
            f"{reasons}. Ask the operator of this exchange to configure one",
            code="no_deployment_configured",
            final=True,
        )
    against: dict[str, list[str]] = {}
    for denial in decision.denials:
        against.setdefault(denial.deployment, []).append(f"{denial.deployment}: {denial.rule}, but {denial.claim}")
    nearest = sorted(against.values(), key=len)[:SHOWN]
    return NotPermitted(
        f"no deployment is allowed for {where}. "
        + "; ".join(reasons[0] for reasons in nearest)
        + f". Ask unit {decision.owner}, its owner",
        code="no_deployment_allowed",
    )


def _same_place(one: Endpoint, other: Endpoint) -> bool:
    return (
        one.deployment == other.deployment
        and one.origin == other.origin
        and one.base_path == other.base_path
        and one.upstream_model == other.upstream_model
        and one.boundary == other.boundary
        and one.pattern is other.pattern
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _short(name: str) -> str:
    return name if len(name) <= ECHOED else name[:ECHOED] + "..."
