"""What a model can do, whoever serves it."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal, get_args

import msgspec

from trunkline.catalog.read import read_folder
from trunkline.messages import Operation

Ability = Literal["tools", "images", "json_schema", "reasoning", "effort", "system_turns", "signed_calls"]
ABILITIES: Final = frozenset(get_args(Ability))


class Tokeniser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model takes text apart, by the published name of its vocabulary; `title` is where this was read.

    It is told to callers, and nothing is counted by it: what a provider adds around a prompt, and what pictures and
    tools are to it, no vocabulary says. Source: OpenAI API documentation, "Counting tokens".
    """

    name: str
    title: str
    verified: date


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model, named as the estate names it (`vendor/model`).

    Attributes:
        operations: what it can be asked to do.
        context_length: the most tokens of prompt and answer together.
        output_bound: the most tokens of one answer; None where only the context length bounds it.
        features: what it can do beside plain text; where there are any, it cannot what is not named. `effort` is
            thinking told by its effort instead of a budget of tokens, `system_turns` system messages in the midst of
            a conversation, `signed_calls` that calls of earlier turns must have their signature.
        refuses: parameters that it refuses, by their names in the neutral form; `tool_choice` where no tool can be
            forced.
        tokeniser: its vocabulary, where that is published.
        source: where this was read.
        verified: the day it was read.
    """

    model: str
    operations: tuple[Operation, ...]
    source: str
    context_length: int | None = None
    output_bound: int | None = None
    features: tuple[Ability, ...] = ()
    refuses: tuple[Literal["temperature", "top_p", "top_k", "stop", "seed", "logprobs", "tool_choice"], ...] = ()
    tokeniser: Tokeniser | None = None
    verified: date | None = None


def load_profiles() -> dict[str, Profile]:
    """Read the profiles that ship with the package, by model.

    Raises:
        Unstartable: a file of the installation is damaged.
    """
    return {profile.model: profile for profile in read_folder("profiles", Profile)}
