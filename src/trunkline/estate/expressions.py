"""Expressions in CEL: what they may speak of, and the port to the library that checks and evaluates them.

The library is optional (extra `cel`) and is loaded only for an estate that has rules. Source: the Common Expression
Language specification; the binding is `cel-expr-python`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol

VARIABLES: Final[Mapping[str, type | list[type]]] = MappingProxyType(
    {
        "deployment.name": str,
        "deployment.model": str,
        "deployment.vendor": str,
        "deployment.pattern": str,
        "deployment.boundary": str,
        "deployment.provider": str,
        "deployment.region": str,
        "deployment.sku": str,
        "deployment.owner": str,
        "use_case.name": str,
        "use_case.owner": str,
        "use_case.data_class": str,
        "use_case.version": str,
        "data_class.name": str,
        "data_class.level": int,
        "caller.unit": str,
        "caller.units": [str],
        "caller.cost_centre": str,
        "caller.key": str,
        "request.operation": str,
        "request.dialect": str,
        "request.stream": bool,
        "request.answers": int,
        "request.output_limit": int,
        "request.bytes": int,
    }
)
"""What an expression may speak of. What is not declared is an empty text; an output limit that is not set is 0."""

_NAMES: Final = re.compile(r"\b([a-z_]+)\s*\.\s*([a-z_]+)\b")
_FAULT: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNDECLARED: Final = re.compile(r"undeclared reference to '([^']*)'")

Values = Mapping[str, object]


class BadExpression(Exception):
    """The expression cannot be used. `name` is what it speaks of that there is not, where that is the reason."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class Expression(Protocol):
    """A checked expression."""

    @property
    def names(self) -> frozenset[str]:
        """No fewer than the variables that it speaks of."""
        ...

    def holds(self, values: Values) -> bool | None:
        """Whether it is true of these values; None where that cannot be worked out."""
        ...


class _Expression:
    def __init__(self, names: frozenset[str], evaluate: Callable[[dict[str, object]], object]) -> None:
        self.names = names
        self._evaluate = evaluate

    def holds(self, values: Values) -> bool | None:
        given = {name: values[name] for name in self.names if name in values}
        answer = self._evaluate(given)
        return answer if isinstance(answer, bool) else None


def read_expression(text: str) -> Expression:
    """Check an expression against what it may speak of.

    Raises:
        BadExpression: it does not parse or type-check, is not true or false, or the library is not installed.
    """
    environment, boolean = _environment()
    try:
        compiled = environment.compile(text)
    except RuntimeError as fault:
        raise _told(str(fault)) from fault
    if compiled.return_type() != boolean:
        raise BadExpression(f"it is {compiled.return_type().name().lower()}, and a rule is true or false")
    names = frozenset(".".join(found) for found in _NAMES.findall(text)) & VARIABLES.keys()

    def evaluate(values: dict[str, object]) -> object:
        return compiled.eval(data=values).value()

    return _Expression(names, evaluate)


@cache
def _environment() -> tuple[Any, Any]:
    try:
        cel: Any = import_module("cel_expr_python.cel")  # optional and large
    except ImportError as missing:
        raise BadExpression("rules need the extra `cel`: install trunkline[cel]") from missing
    types: dict[object, Any] = {str: cel.Type.STRING, int: cel.Type.INT, bool: cel.Type.BOOL}
    variables = {
        name: cel.Type.List(types[kind[0]]) if isinstance(kind, list) else types[kind]
        for name, kind in VARIABLES.items()
    }
    return cel.NewEnv(variables=variables), cel.Type.BOOL


def _told(said: str) -> BadExpression:
    found = _FAULT.search(said)
    if found is None:
        return BadExpression(said.splitlines()[0] if said else "it cannot be read")
    line, column, message = found.groups()
    where = f"at column {int(column)}" if line == "1" else f"at line {line}, column {int(column)}"
    undeclared = _UNDECLARED.search(message)
    if undeclared is not None:
        return BadExpression(f'{where}: there is no "{undeclared[1]}"', undeclared[1])
    return BadExpression(f"{where}: {message.replace('Syntax error: ', '')}")
