"""Limits bind the largest, not the average: one monster module is how a code base is lost."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rules.conftest import Source

FILE_LINES = 800
FUNCTION_LINES = 100
PARAMETERS = 7

DRAWERS = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
VERSION_SUFFIX = re.compile(r"_v?\d+$")

# A command's options are its parameters: the command line library reads them off the signature.
MANY_PARAMETERS = {
    "src/trunkline/cli/budget.py:raise_budget",
    "src/trunkline/cli/claims.py:verify",
    "src/trunkline/cli/explain.py:explain_one",
    "src/trunkline/cli/kept.py:erase",
    "src/trunkline/cli/key.py:create",
    "src/trunkline/cli/up.py:up",
}

# Heavy and optional (the extra `engine`): loaded only by the process that needs it.
INLINE_IMPORTS = {
    "src/trunkline/serving/child.py": {"xllamacpp"},
    "src/trunkline/serving/sentence_bert.py": {"gguf", "numpy"},
}

# Borders: where an error of any kind must become an answer, a log line or an exit code.
BORDERS = {
    "src/trunkline/app/grants.py": "no library of a cloud, whatever it raises, ends what runs",
    "src/trunkline/app/following.py": "what goes on beside the calls begins again, or its end would go unseen",
    "src/trunkline/app/channel.py": "another process must not wait for an answer that never comes",
    "src/trunkline/app/reloading.py": "an estate that cannot be read ends nothing that runs",
    "src/trunkline/gateway/errands.py": "nobody waits for an errand, and none may end without a word",
    "src/trunkline/gateway/shadows.py": "nobody waits for a copy of a call, and none may end anything else",
    "src/trunkline/metering/drain.py": "one failed round must not end the draining of all that follow",
    "src/trunkline/metering/purses.py": "whatever the store raises, calls go on within what is leased",
    "src/trunkline/metering/door.py": "whatever the store raises, calls go on within what is in hand",
    "src/trunkline/wire/connection.py": "whatever a handler does, the client gets an answer",
    "src/trunkline/wire/response.py": "what a sink raises in the socket's call is raised where its owner waits",
}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[FunctionNode]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parameters(function: FunctionNode) -> list[str]:
    """The named parameters, without the object or class that a method stands on."""
    given = function.args
    names = [argument.arg for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def long_functions(tree: ast.AST) -> list[str]:
    found = (
        (function.name, (function.end_lineno or function.lineno) - function.lineno + 1) for function in functions(tree)
    )
    return [f"{name}: {lines} lines" for name, lines in found if lines > FUNCTION_LINES]


def crowded_functions(tree: ast.AST) -> list[str]:
    return [function.name for function in functions(tree) if len(parameters(function)) > PARAMETERS]


def global_statements(tree: ast.AST) -> list[str]:
    return [f"line {node.lineno}" for node in ast.walk(tree) if isinstance(node, ast.Global)]


def inline_imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                found.update(name.name for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or ".")
    return found


def catches_everything(tree: ast.AST) -> bool:
    """Whether errors of every kind end somewhere in it; a handler that tidies up and raises again ends nothing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler) or ast.dump(node.body[-1]) == ast.dump(ast.Raise()):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(
            one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in caught
        ):
            return True
    return False


def drawer(path: str) -> bool:
    names = PurePosixPath(path).with_suffix("").parts
    return any(set(name.split("_")) & DRAWERS or VERSION_SUFFIX.search(name) for name in names)


def test_no_file_is_longer_than_800_lines(everything: list[Source]) -> None:
    assert [source.path for source in everything if source.text.count("\n") > FILE_LINES] == []


def test_no_function_is_longer_than_100_lines(everything: list[Source]) -> None:
    assert [(source.path, found) for source in everything if (found := long_functions(source.tree))] == []


def test_no_function_takes_more_than_7_parameters(everything: list[Source]) -> None:
    found = [f"{source.path}:{name}" for source in everything for name in crowded_functions(source.tree)]
    assert [name for name in found if name not in MANY_PARAMETERS] == []


def test_no_function_changes_a_module_global(everything: list[Source]) -> None:
    assert [(source.path, found) for source in everything if (found := global_statements(source.tree))] == []


def test_imports_stand_at_the_top_except_for_optional_extras(product: list[Source]) -> None:
    for source in product:
        assert inline_imports(source.tree) <= INLINE_IMPORTS.get(source.path, set()), source.path


def test_only_borders_catch_every_error(product: list[Source]) -> None:
    assert [source.path for source in product if catches_everything(source.tree) and source.path not in BORDERS] == []


def test_no_room_or_module_is_a_drawer(product: list[Source]) -> None:
    assert [source.path for source in product if drawer(source.path)] == []


def test_every_exception_from_a_rule_is_still_needed(product: list[Source]) -> None:
    by_path = {source.path: source for source in product}
    assert [path for path in BORDERS if path not in by_path or not catches_everything(by_path[path].tree)] == []
    assert [
        path
        for path, names in INLINE_IMPORTS.items()
        if path not in by_path or not names <= inline_imports(by_path[path].tree)
    ] == []
    crowded = {f"{source.path}:{name}" for source in product for name in crowded_functions(source.tree)}
    assert [name for name in MANY_PARAMETERS if name not in crowded] == []


def test_the_rules_see_what_they_forbid() -> None:
    long = "def f():\n" + "    pass\n" * FUNCTION_LINES
    assert long_functions(ast.parse(long)) == ["f: 101 lines"]
    assert crowded_functions(ast.parse("def f(self, a, b, c, d, e, /, f, *, g, h): ...")) == ["f"]
    assert crowded_functions(ast.parse("def f(self, a, b, c, d, e, f, *, g): ...")) == []
    assert global_statements(ast.parse("def f():\n    global x\n    x = 1")) == ["line 2"]
    assert inline_imports(
        ast.parse("import a\ndef f():\n    import b\n    async def g():\n        from c import d")
    ) == {"b", "c"}


@pytest.mark.parametrize(
    ("handler", "everything_caught"),
    [
        ("except:", True),
        ("except Exception:", True),
        ("except BaseException as error:", True),
        ("except (OSError, Exception):", True),
        ("except (OSError, ValueError):", False),
    ],
)
def test_catching_everything_is_seen_in_each_of_its_forms(handler: str, everything_caught: bool) -> None:
    assert catches_everything(ast.parse(f"try:\n    pass\n{handler}\n    pass")) is everything_caught


@pytest.mark.parametrize("path", ["src/x/utils.py", "src/x/common/y.py", "src/x/key_manager.py", "src/x/router_v2.py"])
def test_drawers_are_seen_by_their_names(path: str) -> None:
    assert drawer(path)


def test_tidying_up_and_raising_again_is_no_catching() -> None:
    assert not catches_everything(ast.parse("try:\n    pass\nexcept BaseException:\n    close()\n    raise"))
    assert catches_everything(ast.parse("try:\n    pass\nexcept Exception as e:\n    raise Other from e"))


def test_ordinary_names_are_no_drawers() -> None:
    assert not drawer("src/trunkline/metering/ports.py")
