"""A request that policy has not seen cannot reach an upstream: held against the code, not against good will."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rules.conftest import Source

MAKERS = {
    "Permitted": {"src/trunkline/policy/permit.py"},
    "Attempt": {"src/trunkline/upstream/attempts.py"},
}
SENDS = "src/trunkline/upstream/send.py"
BRINGS = "src/trunkline/app/courier.py"
KNOCKS = "src/trunkline/upstream/knock.py"
STAGES = "src/trunkline/estate/stages.py"


def name_of(node: ast.expr | None) -> str | None:
    """The last part of a dotted name, of a quoted one too."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rsplit(".", 1)[-1]
    return None


def made(tree: ast.AST, stage: str) -> list[int]:
    """The lines on which a value of a stage type is made: called, aliased, decoded or copied with other fields."""
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=function, args=given):
                first = name_of(given[0]) if given else None
                copied = name_of(function) == "replace" and (first or "").endswith(stage.lower())
                decoded = name_of(function) in {"convert", "Decoder", "decode"} and stage in {
                    name_of(one) for one in (*given, *(keyword.value for keyword in node.keywords))
                }
                if name_of(function) == stage or copied or decoded:
                    lines.append(node.lineno)
            case ast.Assign(value=value) if name_of(value) == stage:
                lines.append(node.lineno)
            case ast.ImportFrom(names=names) if any(name.name == stage and name.asname for name in names):
                lines.append(node.lineno)
    return lines


def sends(tree: ast.AST) -> list[set[str | None]]:
    """For each function named `send`, the types of what it takes."""
    return [
        {name_of(one.annotation) for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "send"
    ]


def pool_sends(tree: ast.AST) -> list[int]:
    """The lines that hand bytes to the pool of upstream connections."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "send"
        and (name_of(node.func.value) or "").lstrip("_") in {"pool", "upstreams", "client"}
    ]


@pytest.mark.parametrize("stage", sorted(MAKERS))
def test_only_its_own_step_makes_a_stage(product: list[Source], stage: str) -> None:
    elsewhere = [source for source in product if source.path not in MAKERS[stage] | {STAGES}]
    assert [(source.path, lines) for source in elsewhere if (lines := made(source.tree, stage))] == []


def test_sending_takes_an_attempt_and_nothing_less(product: list[Source]) -> None:
    taken = [found for source in product if source.path == SENDS for found in sends(source.tree)]
    assert taken == [{"Pool", "Attempt", "Letter"}]


def test_only_the_send_step_hands_bytes_to_upstream_connections(product: list[Source]) -> None:
    found = {source.path: lines for source in product if (lines := pool_sends(source.tree))}
    assert {path: len(lines) for path, lines in found.items()} == {SENDS: 1, BRINGS: 1, KNOCKS: 1}


def test_what_knocks_has_nothing_of_a_call(product: list[Source]) -> None:
    (source,) = (source for source in product if source.path == KNOCKS)
    (knocks,) = (node for node in ast.walk(source.tree) if isinstance(node, ast.AsyncFunctionDef))
    assert [name_of(each.annotation) for each in knocks.args.args] == ["Pool", "Endpoint"]


def test_what_webhooks_are_sent_is_an_alert_and_nothing_of_a_call(product: list[Source]) -> None:
    (source,) = (source for source in product if source.path == BRINGS)
    functions = (node for node in ast.walk(source.tree) if isinstance(node, ast.AsyncFunctionDef))
    (sends,) = (node for node in functions if node.name == "_send")
    assert [name_of(each.annotation) for each in sends.args.args if each.annotation] == ["Webhook", "Alert"]


@pytest.mark.parametrize(
    "forged",
    [
        "permitted = Permitted(caller, asked, decision)",
        "permitted = stages.Permitted(caller, asked, decision)",
        "permitted = msgspec.convert(found, Permitted)",
        "permitted = msgspec.json.decode(body, type=stages.Permitted)",
        "wider = msgspec.structs.replace(permitted, decision=other)",
        "wider = replace(attempt.permitted, decision=other)",
        "Allowed = Permitted",
        "from trunkline.estate.stages import Permitted as Allowed",
    ],
)
def test_a_forged_stage_is_seen(forged: str) -> None:
    assert made(ast.parse(forged), "Permitted") == [1]


def test_reading_a_stage_is_no_forgery() -> None:
    honest = "from trunkline.estate.stages import Permitted\ndef cost(permitted: Permitted) -> int: ..."
    assert made(ast.parse(honest), "Permitted") == []


def test_a_send_that_takes_raw_bytes_is_seen() -> None:
    assert sends(ast.parse("async def send(pool: Pool, body: bytes) -> None: ...")) == [{"Pool", "bytes"}]
    assert sends(ast.parse("def send(pool: Pool, attempt: stages.Attempt) -> None: ...")) == [{"Pool", "Attempt"}]


def test_a_way_around_the_send_step_is_seen() -> None:
    assert pool_sends(ast.parse("await exchange.upstreams.send(origin, body, times)")) == [1]
    assert pool_sends(ast.parse("self._pool.send(origin, body, times)")) == [1]
    assert pool_sends(ast.parse("reply.send(200, headers, body)")) == []
