"""Small wrong changes to a module: each with the whole text of the module with one of its parts turned around.

Comparisons are turned or weakened, conditions dropped, forced or negated, statements left out, numbers moved by one,
`any` and `all`, `min` and `max` exchanged. Left alone is what no test can tell apart: texts, types, the options of a
class, the constants of a module, and conditions that only ask whether an answer is remembered already.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
EXCHANGED = {"any": "all", "all": "any", "min": "max", "max": "min"}


class Mutant(NamedTuple):
    """One change: where it stands, what it is, and which of the changes to which part of the module."""

    line: int
    function: str
    change: str
    source: str
    place: int
    number: int

    @property
    def text(self) -> str:
        """The module with the change."""
        tree = ast.parse(self.source)
        _, apply = list(_changes(_nth(tree, self.place)))[self.number]
        apply()
        return ast.unparse(ast.fix_missing_locations(tree))


def mutants(source: str) -> Iterator[Mutant]:
    """Every change that can be made to a module, one at a time."""
    tree = ast.parse(source)
    spared = {id(inner) for outer in _spared(tree) for inner in ast.walk(outer)}
    within = _functions(tree)
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in spared:
            continue
        changes = [name for name, _ in _changes(node)]
        if not changes:
            continue
        before = ast.unparse(node) if not isinstance(node, ast.comprehension) else "if"
        line = node.target.lineno if isinstance(node, ast.comprehension) else getattr(node, "lineno", 0)
        for number, name in enumerate(changes):
            change = f"{name}: {before.splitlines()[0][:70]}"
            yield Mutant(line, within.get(id(node), ""), change, source, place, number)


def _functions(tree: ast.Module) -> dict[int, str]:
    """The innermost function that each part stands in, by the part's identity."""
    within: dict[int, str] = {}
    for outer in ast.walk(tree):
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            # Outer functions come first, so that inner ones have the last word.
            within.update((id(inner), outer.name) for inner in ast.walk(outer))
    return within


def _spared(tree: ast.Module) -> Iterator[ast.AST]:
    yield from (node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(keywords=keywords):
                yield from keywords
            case ast.If(test=test) if _remembers(test):
                yield test
            case _:
                pass


def _nth(tree: ast.AST, place: int) -> ast.AST:
    return next(node for number, node in enumerate(ast.walk(tree)) if number == place)


Change = tuple[str, Callable[[], object]]


def _changes(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[only]):
            for other in COMPARISONS.get(type(only), ()):
                yield f"compare {other.__name__}", _put(node, "ops", [other()])
        case ast.BoolOp(op=op, values=values):
            yield "and or", _put(node, "op", ast.Or() if isinstance(op, ast.And) else ast.And())
            for index in range(len(values)):
                yield f"drop operand {index}", _put(node, "values", [*values[:index], *values[index + 1 :]])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "drop not", _put(node, "operand", ast.UnaryOp(ast.Not(), operand))
        case ast.Call(func=ast.Name(id=name) as function) if name in EXCHANGED:
            yield f"{EXCHANGED[name]} for {name}", _put(function, "id", EXCHANGED[name])
        case ast.FunctionDef(body=body):
            yield from _left_out(body)
        case _:
            yield from _forced(node)


def _forced(node: ast.AST) -> Iterator[Change]:
    """Conditions that hold always or never, and values that are others."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) if not _remembers(test):
            for forced in (True, False):
                yield f"if {forced}", _put(node, "test", ast.Constant(forced))
        case ast.While():
            yield "while False", _put(node, "test", ast.Constant(value=False))
        case ast.comprehension(ifs=[_, *_]):
            yield "drop filter", _put(node, "ifs", [])
        case ast.Constant(value=bool() as value):
            yield "flip", _put(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield "plus one", _put(node, "value", value + 1)
        case _:
            pass


def _remembers(test: ast.expr) -> bool:
    """Whether a condition asks whether an answer is kept in a table of the object's own."""
    match test:
        case ast.Compare(ops=[ast.NotIn()], comparators=[ast.Attribute(value=ast.Name(id="self"))]):
            return True
        case _:
            return False


def _put(node: ast.AST, field: str, value: object) -> Callable[[], object]:
    def put() -> None:
        setattr(node, field, value)

    return put


def _left_out(body: list[ast.stmt]) -> Iterator[Change]:
    """Leave out statements that do something: calls, additions, raises; also within blocks."""
    for index, statement in enumerate(body):
        match statement:
            case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Raise():

                def leave_out(index: int = index) -> None:
                    body[index] = ast.Pass()

                yield "leave out", leave_out
            case ast.If(body=inner) | ast.For(body=inner):
                yield from _left_out(inner)
            case _:
                pass
