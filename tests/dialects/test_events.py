"""What every dialect's streams have in common."""

from __future__ import annotations

import pytest

from trunkline.dialects.dialect import Dialect
from trunkline.dialects.registry import ALL
from trunkline.errors import Garbled
from trunkline.messages import Asked, Operation

each_dialect = pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.name)


def asked(dialect: Dialect) -> Asked:
    return Asked(Operation.CHAT, dialect.name, "some-model", {}, stream=True)


@each_dialect
@pytest.mark.parametrize("event", [b": caf\xe9\n\n", b"data: {\n\n", b"data: \xff\n\n"])
def test_an_event_that_is_no_text_or_no_json_is_a_fault_of_the_upstream(dialect: Dialect, event: bytes) -> None:
    with pytest.raises(Garbled):
        dialect.follow(asked(dialect)).take(event)


@each_dialect
@pytest.mark.parametrize("event", [b": caf\xc3\xa9\n\n", b'data: ["what is this?"]\n\n'])
def test_a_comment_and_json_of_another_form_go_on_to_the_caller(dialect: Dialect, event: bytes) -> None:
    assert dialect.follow(asked(dialect)).take(event) == event
