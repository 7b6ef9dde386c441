"""YAML text as events, by two parsers: one that is quick, and one that follows YAML 1.2 to the letter.

The quick one is libyaml, which knows YAML 1.1 and some of 1.2. It is given only text in which the two agree, and what
it refuses is read again by the careful one, whose word counts. Without libyaml, the careful one reads everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

import yaml
from ruamel.yaml import YAML
from ruamel.yaml import events as careful
from ruamel.yaml.error import MarkedYAMLError, YAMLError

_Quick: Final = getattr(yaml.cyaml, "CParser", None) if yaml.__with_libyaml__ else None

# Where the two differ: directives, ends of documents, tabs, characters that YAML 1.1 took for line ends or for no text
# at all, tags, anchors that are no plain names, and what looks like a comment where a text in lines begins.
_BEGINS = r"(?<![^\s\[\]{},:?\-\"'])"
_ODD = re.compile(
    r"[\t\x7f-\x9f\u2028\u2029\ufeff]|\r(?!\n)|^%|\n(?:---|\.\.\.)|\A\.\.\.|"
    rf"{_BEGINS}(?:!|[&*](?![A-Za-z0-9_-]+(?:[\s,\]}}]|\Z)|[ \n]))|[|>][-+0-9]*\s*#",
    re.MULTILINE,
)


class Shape(Enum):
    """What an event tells."""

    DOCUMENT = auto()
    SCALAR = auto()
    ALIAS = auto()
    SEQUENCE = auto()
    MAPPING = auto()
    END = auto()


SHAPES: Final[Mapping[type, Shape]] = MappingProxyType(
    {
        getattr(parser, name): shape
        for parser in (careful, yaml.events)
        for name, shape in {
            "DocumentStartEvent": Shape.DOCUMENT,
            "ScalarEvent": Shape.SCALAR,
            "AliasEvent": Shape.ALIAS,
            "SequenceStartEvent": Shape.SEQUENCE,
            "MappingStartEvent": Shape.MAPPING,
            "SequenceEndEvent": Shape.END,
            "MappingEndEvent": Shape.END,
        }.items()
    }
)
"""The shapes of both parsers' events; others say nothing of the tree. Both name their attributes alike."""


class Unsure(Exception):
    """The quick parser refuses the text: the careful one has the word."""


class NotYaml(Exception):
    """The text is not YAML; line and column count from 1."""

    def __init__(self, line: int, column: int, why: str) -> None:
        super().__init__(why)
        self.line = line
        self.column = column
        self.why = why


def suits_quick(text: str) -> bool:
    """Whether both parsers see the same in the text, if they see a tree at all."""
    return _Quick is not None and _ODD.search(text) is None


def quick_events(text: str) -> Iterator[Any]:
    """Give libyaml's events.

    Raises:
        Unsure: it refuses the text.
    """
    parser: Any = _Quick(text) if _Quick is not None else None
    try:
        while (event := parser.get_event()) is not None:
            yield event
    except yaml.YAMLError as problem:
        raise Unsure from problem
    finally:
        parser.dispose()


def careful_events(text: str) -> Iterator[Any]:
    """Give the careful parser's events.

    Raises:
        NotYaml: it refuses the text.
    """
    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if problem.problem is not None and "'\\t'" in problem.problem:
            raise NotYaml(line, column, "a tab stands where only blanks may indent") from None
        context = f" ({problem.context})" if problem.context else ""
        raise NotYaml(line, column, f"{problem.problem or 'it cannot be parsed'}{context}") from None
    except YAMLError as problem:
        position = getattr(problem, "position", 0)
        before = text[: position if isinstance(position, int) else 0]
        why = "it holds a character that text may not hold"
        raise NotYaml(before.count("\n") + 1, len(before) - before.rfind("\n"), why) from None
    except (ValueError, TypeError, AssertionError, AttributeError, IndexError, OverflowError, RecursionError):
        # The parser is written for people's files and stumbles over some bytes that no person writes.
        raise NotYaml(1, 1, "the parser gives up on it") from None
