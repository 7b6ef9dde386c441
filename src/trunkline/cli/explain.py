from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from trunkline.cli.asking import Asking, find_caller
from trunkline.cli.considered import Considered, consider
from trunkline.cli.options import DEFAULT_DATA, AsJson, Data, EstateFile, StoreUrl
from trunkline.cli.output import console, facts, print_json
from trunkline.cli.truth_table import Where, explanation_view, row_json
from trunkline.config.faults import nearest
from trunkline.conversations.recall import foresee_kept
from trunkline.dialects.registry import DIALECTS
from trunkline.errors import Refusal
from trunkline.estate.stages import Permitted, Rewrite
from trunkline.estate.trials import Shadow, Split
from trunkline.estate.use_cases import UseCase as Declared
from trunkline.messages import Asked, Operation
from trunkline.metering.bound import bound
from trunkline.policy.explain import Question, explain
from trunkline.policy.explanation import Explanation
from trunkline.policy.keeping import kept_under
from trunkline.policy.narrow import narrow, settle, shut
from trunkline.policy.pending import hold_call
from trunkline.policy.permit import offered, permit
from trunkline.policy.trials import holds
from trunkline.tenancy.callers import Caller
from trunkline.upstream.route import foresee

app = typer.Typer(add_completion=False)

UseCase = Annotated[str | None, typer.Argument(metavar="USE_CASE", help="The use case to explain.", show_default=False)]
DataClass = Annotated[
    str | None,
    typer.Option("--data-class", metavar="CLASS", help="As if raised to it.", show_default="the use case's own"),
]
CallerName = Annotated[
    str | None,
    typer.Option(
        "--caller", metavar="UNIT|KEY", help="Who would ask: a unit, a key's id, or a key.", show_default="anybody"
    ),
]
RequestFile = Annotated[
    Path | None,
    typer.Option(
        "--request",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help='One request to explain: its JSON body, or {"path": ..., "headers": {...}, "body": {...}}.',
        show_default=False,
    ),
]


@app.command("explain")
def explain_one(  # noqa: PLR0913 - one for each option
    use_case: UseCase = None,
    *,
    data_class: DataClass = None,
    caller: CallerName = None,
    request: RequestFile = None,
    data: Data = DEFAULT_DATA,
    store: StoreUrl = None,
    estate: EstateFile = None,
    as_json: AsJson = False,
) -> None:
    """Say of every deployment whether a use case may use it, and why: the rule, the claim, and what would allow it.

    Exit code 1 where no deployment is allowed.
    """
    if (use_case is None) == (request is None):
        raise typer.BadParameter("give a use case, or --request FILE")
    with consider(data, estate, store) as considered:
        _known(data_class, "data class", considered.estate.data_classes, "--data-class")
        if request is not None:
            allowed = _explain_request(considered, Asking(request), caller, data_class, as_json=as_json)
        else:
            _known(use_case, "use case", considered.estate.use_cases, "USE_CASE")
            allowed = _explain_use_case(considered, str(use_case), caller, data_class, as_json=as_json)
    if not allowed:
        raise typer.Exit(1)


def _explain_use_case(
    considered: Considered, use_case: str, caller: str | None, data_class: str | None, *, as_json: bool
) -> bool:
    explanation = _explain(considered, use_case, data_class)
    asks = find_caller(considered, caller) if caller is not None else None
    explanation = hold_call(explanation, considered.estate, asks)
    if (
        asks is not None
        and not explanation.closed
        and all(offer.name != use_case for offer in offered(considered.compile(), asks))
    ):
        explanation = msgspec.structs.replace(explanation, closed=_not_open(considered, use_case, asks))
    if as_json:
        print_json([row_json(row, _where(considered), explanation.kept) for row in shut(explanation).rows])
        if explanation.closed:
            sys.stderr.write(f"trunkline: {use_case}: {explanation.closed}\n")
    else:
        _show_use_case(considered, explanation, data_class)
    return explanation.allowed


def _explain(
    considered: Considered, use_case: str, data_class: str | None, operation: Operation | None = None
) -> Explanation:
    question = Question(use_case, considered.now, data_class or "", considered.overlaid.verified, operation)
    return explain(considered.estate, considered.surroundings, question)


def _not_open(considered: Considered, use_case: str, caller: Caller) -> str:
    declared = considered.estate.use_cases[use_case]
    if caller.use_cases is not None and use_case not in caller.use_cases:
        return f"key {caller.key} is for {', '.join(sorted(caller.use_cases))} alone"
    audience = ", ".join(declared.audience)
    return f"it is not open to unit {caller.unit}: its audience is {audience}; its owner {declared.owner} can add to it"


def _show_use_case(considered: Considered, explanation: Explanation, asked: str | None) -> None:
    declared = considered.estate.use_cases[explanation.use_case]
    shown = console()
    shown.print(
        facts(
            {
                "use case": Text(explanation.use_case, style="bold"),
                "data class": f"{explanation.data_class}, {_why(explanation, asked)}",
                "owner": explanation.owner,
                "audience": ", ".join(declared.audience),
                "pools": ", ".join(declared.pools),
                "patterns": ", ".join(declared.patterns or ()),
                "substitutes": _substitutes(declared),
                "splits": "\n".join(_split(name, one, considered.now) for name, one in declared.splits.items()),
                "keeps answers": explanation.kept.words,
                "shadows": "\n".join(_shadow(name, one, considered.now) for name, one in declared.shadows.items()),
            }
        )
    )
    shown.print()
    shown.print(explanation_view(shown, explanation, _where(considered)))
    shown.print()
    if explanation.closed:
        shown.print(Text(explanation.closed, style="bold red"))
    else:
        shown.print(_sum(explanation))


def _substitutes(declared: Declared) -> str:
    return "" if declared.substitutes is None else ", ".join(declared.substitutes) or "none"


def _split(name: str, split: Split, now: int) -> str:
    whole = sum(split.shares.values())
    shares = ", ".join(f"{weight / whole:.0%} {arm}" for arm, weight in split.shares.items())
    return f"{name}: {shares}, by {split.by.replace('_', ' ')}{_dated(split, now)}"


def _shadow(name: str, shadow: Shadow, now: int) -> str:
    return f"{name}: a copy of {shadow.share:.2%} to {shadow.to}{_dated(shadow, now)}"


def _dated(trial: Split | Shadow, now: int) -> str:
    return "" if holds(trial, now) else ", not now"


def _why(explanation: Explanation, asked: str | None) -> str:
    if explanation.data_class != explanation.own_class:
        return f"raised from its own, {explanation.own_class}"
    if asked is not None and asked != explanation.own_class:
        return f"its own; {asked} is looser and ignored"
    return "its own"


def _where(considered: Considered) -> Where:
    return lambda path: considered.loaded.place(*path)


def _sum(explanation: Explanation) -> Text:
    allowed = sum(row.allowed for row in explanation.rows)
    ready = sum(row.allowed and row.configured for row in explanation.rows)
    if not allowed:
        return Text("no deployment is allowed: every call is refused", style="bold red")
    depend = sum(bool(row.hangs_on) for row in explanation.rows)
    hang = f"; for {depend} of them it depends on the request" if depend else ""
    said = f"{allowed} of {len(explanation.rows)} deployments allowed, {ready} of them configured{hang}"
    return Text(said, style="bold green" if ready else "bold yellow")


def _explain_request(
    considered: Considered, asking: Asking, caller: str | None, data_class: str | None, *, as_json: bool
) -> bool:
    snapshot = considered.compile()
    found: Explanation | None = None
    permitted: Permitted | None = None
    refusal: Refusal | None = None
    asks: Caller | None = None
    try:
        asks = find_caller(considered, caller) if caller is not None else asking.caller(considered)
        asked = asking.decode()
        if data_class is not None:
            asked = msgspec.structs.replace(asked, data_class=data_class)
        asked = foresee_kept(DIALECTS[asked.dialect], snapshot, asks, asked)
        found = _explain_asked(considered, asks, asked)
        permitted = permit(snapshot, asks, asked)
        found = settle(found, permitted.decision) if found is not None else None
    except Refusal as refused:
        refusal = refused
    if as_json:
        rows = () if found is None else found.rows
        print_json([row_json(row, _where(considered), found.kept) for row in rows] if found is not None else [])
        if refusal is not None:
            sys.stderr.write(f"trunkline: {refusal.status} {refusal.code}: {refusal.message}\n")
    else:
        _show_request(considered, asks, permitted, refusal, found)
    return permitted is not None


def _explain_asked(considered: Considered, caller: Caller, asked: Asked) -> Explanation | None:
    """What stands behind the name in a request; None where the caller has nothing of that name."""
    for offer in offered(considered.compile(), caller):
        if offer.name == asked.model:
            raised = asked.data_class if asked.data_class in considered.estate.data_classes else None
            whole = _explain(considered, offer.use_case, raised, asked.operation)
            asked_for = narrow(whole, asked.operation, None if offer.name == offer.use_case else offer.name)
            return hold_call(asked_for, considered.estate, caller, asked)
    return None


def _show_request(
    considered: Considered,
    caller: Caller | None,
    permitted: Permitted | None,
    refusal: Refusal | None,
    found: Explanation | None,
) -> None:
    shown = console()
    told: dict[str, str | Text] = {}
    if caller is not None:
        told["caller"] = f"{caller.key or 'any key'} of unit {caller.unit}, cost centre {caller.cost_centre}"
    if found is not None:
        told["use case"] = Text(found.use_case, style="bold")
        told["data class"] = f"{found.data_class}, {_why_asked(found)}"
    if permitted is not None:
        decision = permitted.decision
        refused = len({denial.deployment for denial in decision.denials})
        ready = len(tuple(decision.endpoints))
        told["asks for"] = f"{permitted.asked.operation} of {permitted.asked.model}"
        told["decision"] = f"{ready} allowed, {len(decision.unconfigured)} not configured, {refused} refused"
        told["keeps answers"] = kept_under(decision).words
        told["note"] = permitted.note
        told["rewrites"] = "\n".join(_rewrite(one) for one in permitted.rewrites)
        told["attempts"] = Text("\n").join(
            Text.assemble(f"{attempt.number}  ", (attempt.endpoint.deployment, "bold"), f"  {attempt.reason}")
            for attempt in foresee(permitted, bound)
        )
    shown.print(facts(told))
    if found is not None:
        shown.print()
        shown.print(explanation_view(shown, found, _where(considered)))
    shown.print()
    if refusal is not None:
        shown.print(Text(f"{refusal.status} {refusal.code}: {refusal.message}", style="bold red"))
    else:
        shown.print(Text("it would be sent", style="bold green"))


def _rewrite(rewrite: Rewrite) -> str:
    """What is sent otherwise, why and where."""
    return f"{rewrite} at {', '.join(sorted(rewrite.deployments)) if rewrite.deployments is not None else 'all'}"


def _why_asked(found: Explanation) -> str:
    return (
        "the use case's own" if found.data_class == found.own_class else f"raised from {found.own_class} by the caller"
    )


def _known(name: str | None, what: str, names: Collection[str], hint: str) -> None:
    if name is not None and name not in names:
        near = nearest(name, names)
        known = f"did you mean {near}?" if near else f"it has {', '.join(names)}"
        raise typer.BadParameter(f"the estate has no {what} {name!r}: {known}", param_hint=hint)
