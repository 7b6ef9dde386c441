"""The request itself, held against what policy decided: which features it uses, and what it asks for.

What can be mended without changing the question (not to store, not to keep a cache) is mended where a claim needs it;
anything else leaves the deployments that allow it, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from trunkline.catalog.requests import DROP, Field, Form
from trunkline.errors import NotPermitted, TooLarge
from trunkline.estate.decisions import Decision, Denial, Watch
from trunkline.estate.endpoints import Endpoint
from trunkline.estate.stages import Rewrite
from trunkline.estate.use_cases import Parameters
from trunkline.messages import Asked
from trunkline.policy.failover import without
from trunkline.policy.prompt_parts import PartUse, find_parts, is_plain

TEXT = "text"
FUNCTION = "function"


class Examined(msgspec.Struct, frozen=True):
    """What is left of a decision for one request, the request as it counts, and what is sent otherwise."""

    decision: Decision
    asked: Asked
    rewrites: tuple[Rewrite, ...] = ()


class Use(msgspec.Struct, frozen=True):
    """A feature that the request uses, in which field, and what may be sent instead."""

    feature: str
    field: str
    rewrite: str | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: str | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool]).decode
_decode_named = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_words = msgspec.json.Decoder(list[str]).decode
_decode_number = msgspec.json.Decoder(int).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_encode = msgspec.json.Encoder().encode
_NULL = b"null"
_NOTHING = msgspec.Raw(_NULL)


def examine(decision: Decision, asked: Asked) -> Examined | None:
    """Hold a request against the decision that was looked up for it; None where that stays as it is.

    Raises:
        NotPermitted: it uses or asks for what no allowed deployment, or the use case, lets it.
        TooLarge: it is larger than the use case lets it be.
    """
    watch = (decision.watched or {}).get((asked.dialect, asked.operation))
    if watch is None:
        raise NotPermitted(
            f"use case {decision.use_case} under data class {decision.data_class} needs requests to be examined, and "
            f"nothing is known of {asked.operation.value} in the dialect {asked.dialect}; use another path",
            code="request_not_permitted",
        )
    fields = asked.fields
    if (
        not watch.always
        and watch.fields.isdisjoint(fields)
        and (not watch.prompt or watch.prompt not in fields or is_plain(bytes(fields[watch.prompt]), watch.marks))
    ):
        return None
    return _examine(decision, asked, watch)


def _examine(decision: Decision, asked: Asked, watch: Watch) -> Examined:
    form = watch.form
    parts = find_parts(form, asked)
    uses = [*_uses(form, watch.fields, asked), *(Use(one.feature, one.field) for one in parts if one.feature)]
    decision, rewrites = _without(decision, uses) if uses else (decision, ())
    if decision.parameters is None:
        return Examined(decision, asked, rewrites)
    _hold_to(decision, decision.parameters, form, asked, parts)
    asked, limits = _bound_output(decision, decision.parameters.max_output_tokens, form, asked)
    return Examined(decision, asked, (*rewrites, *limits))


def _uses(form: Form, watched: Iterable[str], asked: Asked) -> Iterator[Use]:
    for name in watched:
        field, raw = form.fields[name], asked.fields.get(name)
        if raw is None:
            if field.when_absent and field.feature is not None:
                yield Use(field.feature, name, field.rewrite)
        elif field.feature is not None:
            if bytes(raw).decode() not in field.unless:
                yield Use(field.feature, name, field.rewrite)
        elif bytes(raw) != _NULL:
            for kind in _kinds(bytes(raw), field):
                harmless = kind is None and field.without_kind
                feature = None if harmless else _by_kind(field.kinds, kind or "", field.other_kind)
                if feature is not None:
                    yield Use(feature, name, field.rewrite)


def _kinds(raw: bytes, field: Field | None) -> tuple[str | None, ...]:
    """The types of the objects in a list; one that nobody knows where it is no such list."""
    try:
        if field is not None and field.by_name:
            return tuple(name for tool in _decode_named(raw) for name, value in tool.items() if bytes(value) != _NULL)
        return tuple(tool.type for tool in _decode_tools(raw))
    except msgspec.DecodeError:
        return ("",)


def _by_kind(kinds: dict[str, str | None], kind: str, other: str | None) -> str | None:
    if kind in kinds:
        return kinds[kind]
    begins = [name for name, feature in kinds.items() if (feature or name.endswith("_")) and kind.startswith(name)]
    return kinds[max(begins, key=len)] if begins else other


def _without(decision: Decision, uses: list[Use]) -> tuple[Decision, tuple[Rewrite, ...]]:
    """Leave out the deployments that bar what the request uses, but for what can be rewritten there."""
    rewrites: dict[str, Rewrite] = {}
    barred: dict[str, Denial] = {}
    fields: dict[str, None] = {}
    for use in uses:
        where = {name: terms[use.feature] for name, terms in decision.features.items() if use.feature in terms}
        if not where:
            continue
        if use.rewrite is None:
            fields[use.field] = None
            for name, denial in where.items():
                said = f"the request uses {use.feature} in `{use.field}`: {denial.claim}"
                barred.setdefault(name, Denial(deployment=name, rule=denial.rule, claim=said))
        else:
            value = None if use.rewrite == DROP else use.rewrite.encode()
            rewrites[use.field] = Rewrite(use.field, value, use.feature, frozenset(where))
    if not barred:
        return decision, tuple(rewrites.values())
    left = without(decision, frozenset(barred))
    if not left.tiers:
        raise _refuse(decision, barred, tuple(fields))
    return msgspec.structs.replace(left, denials=(*decision.denials, *barred.values())), tuple(rewrites.values())


def _refuse(decision: Decision, barred: dict[str, Denial], fields: tuple[str, ...]) -> NotPermitted:
    first = next(barred[one.deployment] for one in decision.endpoints if one.deployment in barred)
    named = " and ".join(f"`{field}`" for field in fields)
    return NotPermitted(
        f"no deployment of use case {decision.use_case} under data class {decision.data_class} may take {named} as "
        f"this request has it. {first.deployment}: {first.rule}, but {first.claim}. Send it without, or ask unit "
        f"{decision.owner}, its owner",
        code="request_not_permitted",
        param=fields[0],
    )


def _hold_to(decision: Decision, parameters: Parameters, form: Form, asked: Asked, parts: tuple[PartUse, ...]) -> None:
    """Hold the request to what the use case lets it ask for."""
    if parameters.max_request_bytes is not None and asked.prompt_bound > parameters.max_request_bytes:
        raise TooLarge(
            f"use case {decision.use_case} takes requests of {parameters.max_request_bytes} bytes at most; send less"
        )
    if parameters.answers is not None and asked.answers > parameters.answers:
        raise _not_allowed(decision, "n", f"{parameters.answers} answers at most, and this asks for {asked.answers}")
    if parameters.tools is not None and parameters.tools is not True:
        _hold_tools(decision, parameters.tools, form, asked)
    if parameters.modalities is not None:
        wanted = [(one.modality, one.field) for one in parts if one.modality]
        wanted += [(word, form.modalities or "") for word in _spoken(form, asked)]
        for modality, field in wanted:
            if modality != TEXT and modality not in parameters.modalities:
                raise _not_allowed(
                    decision, field, f"{', '.join((TEXT, *parameters.modalities))}, and this has {modality}"
                )


def _hold_tools(decision: Decision, allowed: bool | tuple[str, ...], form: Form, asked: Asked) -> None:  # noqa: FBT001
    types = allowed if isinstance(allowed, tuple) else ()
    for field in form.tools:
        raw = asked.fields.get(field)
        if raw is None or bytes(raw) == _NULL:
            continue
        known = form.fields.get(field)
        for kind in _kinds(bytes(raw), known):
            plain = known is not None and known.by_name and kind in known.kinds and known.kinds[kind] is None
            offered = FUNCTION if kind is None or plain else kind
            if offered not in types:
                said = f"tools of type {', '.join(types)} alone" if types else "no tools"
                raise _not_allowed(decision, field, f"{said}, and this offers {offered or 'something else'}")


def _spoken(form: Form, asked: Asked) -> tuple[str, ...]:
    """What the answer is to be, as far as the request says."""
    raw = _within(asked, form.modalities or "")
    if bytes(raw) == _NULL:
        return ()
    try:
        return tuple(word.lower() for word in _decode_words(raw))
    except msgspec.DecodeError:
        return ("something unknown",)


def _not_allowed(decision: Decision, param: str, what: str) -> NotPermitted:
    return NotPermitted(
        f"use case {decision.use_case} allows {what}. Ask unit {decision.owner}, its owner, for more",
        code="parameter_not_permitted",
        param=param,
    )


def _bound_output(decision: Decision, most: int | None, form: Form, asked: Asked) -> tuple[Asked, tuple[Rewrite, ...]]:
    """Bound each answer: lower what the caller set, set it where he did not."""
    if most is None or not form.output_limits:
        return asked, ()
    value, why = str(most).encode(), f"the most that use case {decision.use_case} allows"
    given = [name for name in form.output_limits if bytes(_within(asked, name)) != _NULL]
    if given:
        rewrites = [
            Rewrite(*_put(asked, name, value), why) for name in given if not _at_most(bytes(_within(asked, name)), most)
        ]
    else:
        rewrites = [
            Rewrite(*_put(asked, name, value), why, frozenset(where))
            for name, where in _by_limit_field(decision.endpoints, form, asked.dialect).items()
        ]
    limit = most if asked.output_limit is None else min(asked.output_limit, most)
    return msgspec.structs.replace(asked, output_limit=limit), tuple(rewrites)


def _within(asked: Asked, name: str) -> msgspec.Raw:
    """A field as it was written, which may stand in another; null where there is none."""
    outer, _, inner = name.partition(".")
    raw = asked.fields.get(outer, _NOTHING)
    if not inner:
        return raw
    return _inside(raw).get(inner, _NOTHING)


def _put(asked: Asked, name: str, value: bytes) -> tuple[str, bytes]:
    """A top-level field with its JSON, so that the field of that name has another value."""
    outer, _, inner = name.partition(".")
    if not inner:
        return name, value
    inside = _inside(asked.fields.get(outer, _NOTHING))
    return outer, _encode(inside | {inner: msgspec.Raw(value)})


def _inside(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _decode_object(raw) or {}
    except msgspec.DecodeError:
        return {}


def _at_most(raw: bytes, most: int) -> bool:
    try:
        return _decode_number(raw) <= most
    except msgspec.DecodeError:
        return False


def _by_limit_field(endpoints: Iterable[Endpoint], form: Form, dialect: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for endpoint in endpoints:
        same = endpoint.dialect == dialect and endpoint.output_limit in form.output_limits
        found.setdefault(endpoint.output_limit if same else form.output_limits[0], []).append(endpoint.deployment)
    return found
