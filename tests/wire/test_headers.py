from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.wire.headers import line


@given(value=st.text() | st.binary())
def test_no_value_breaks_out_of_its_line(value: str | bytes) -> None:
    written = line(b"x-name", value)
    assert written.startswith(b"x-name: ")
    assert written.endswith(b"\r\n")
    assert not set(written[:-2]) & set(b"\r\n\0")


def test_ordinary_values_stand_as_they_are() -> None:
    assert line(b"a", "b\tc é") == b"a: b\tc \xe9\r\n"
    assert line(b"a", "\N{SNOWMAN}") == b"a: ?\r\n"
