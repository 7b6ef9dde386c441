from __future__ import annotations

import msgspec
import pytest
from tests.dialects.ways import There

from trunkline.dialects.fit import fit
from trunkline.dialects.neutral import Choice, Conversation, Message, Role, Text, Tool, ToolChoice

ASKED = Conversation(messages=(Message(Role.USER, (Text("hi"),)),), tools=(Tool("f"),))
UNFORCED = There(refuses=frozenset({"tool_choice"}))


@pytest.mark.parametrize("choice", [ToolChoice(Choice.REQUIRED), ToolChoice(Choice.NAMED, ("f",))])
def test_no_tool_is_forced_on_a_model_that_takes_none(choice: ToolChoice) -> None:
    asked = msgspec.structs.replace(ASKED, tool_choice=choice)
    made = fit(asked, UNFORCED)
    assert made.tool_choice is None
    assert [(one.field, one.hint) for one in made.uncarried] == [("tool_choice", False)]
    assert fit(asked, There()) is asked


@pytest.mark.parametrize("choice", [None, ToolChoice(Choice.AUTO), ToolChoice(Choice.NONE)])
def test_what_forces_nothing_stays(choice: ToolChoice | None) -> None:
    asked = msgspec.structs.replace(ASKED, tool_choice=choice)
    assert fit(asked, UNFORCED) is asked
