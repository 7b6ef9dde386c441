"""The forms that requests have: which of their fields use which feature, and what may be sent instead.

One YAML file per front door, by the dialect and the operation of it. A dialect without a form is not examined, and so
is refused wherever a claim would need it.
"""

from __future__ import annotations

from functools import cache

import msgspec

from trunkline.catalog.read import read_folder

DROP = "drop"
"""What stands for a rewrite that leaves the field out."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One top-level field of a request that is not harmless.

    Attributes:
        feature: what is used where the field has any value but those of `unless`.
        unless: values as JSON, written without blanks, that use nothing.
        rewrite: the JSON that may be sent instead, `drop` to leave the field out; None where nothing will do.
        when_absent: whether the feature is used where the request does not name the field, too.
        kinds: of a list of objects with a `type`: the feature that each type uses, or none. A name with a feature, or
            that ends in `_`, stands for every type that begins with it; the longest counts.
        without_kind: whether an object without a `type` uses nothing.
        other_kind: the feature of types that are not listed.
        by_name: whether objects have no `type`, and the names of their fields tell what they are.
    """

    feature: str | None = None
    unless: tuple[str, ...] = ("null",)
    rewrite: str | None = None
    when_absent: bool = False
    kinds: dict[str, str | None] = {}
    without_kind: bool = False
    other_kind: str | None = None
    by_name: bool = False


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of piece of a prompt, by its `type`, or by a field with an object that it alone has.

    Attributes:
        names: how that field is called, in each spelling.
        mime_in: where the object tells its media type, in each spelling.
        mimes: how the media types begin that are meant; all where none are named.
        other_mimes: how those begin that are not meant.
        modality: what it is, where it is not text.
        feature: what it uses where it has something `at` a dotted path that does not begin with `unless_begins`; by
            itself where there is no `at`.
    """

    type: str | None = None
    names: tuple[str, ...] = ()
    mime_in: tuple[str, ...] = ()
    mimes: tuple[str, ...] = ()
    other_mimes: tuple[str, ...] = ()
    modality: str | None = None
    feature: str | None = None
    at: str | None = None
    unless_begins: str | None = None


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the requests of one dialect and operation.

    Attributes:
        messages: the field that holds the prompt's messages.
        parts: what stands in them beside text.
        output_limits: the fields that bound one answer's tokens; the first is the one to write. One that stands in
            another is written with a dot between them, as is `modalities`.
        tools: the fields that offer tools.
        modalities: the field that says what the answer may be beside text.
    """

    dialect: str
    operation: str
    fields: dict[str, Field] = {}
    messages: str | None = None
    parts: tuple[Part, ...] = ()
    output_limits: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    modalities: str | None = None

    @property
    def marks(self) -> tuple[bytes, ...]:
        """What stands in messages as JSON wherever there may be more than text."""
        names = {"type" if part.type is not None else name for part in self.parts for name in part.names or ("",)}
        return tuple(f'"{name}"'.encode() for name in sorted(names))


@cache
def load_forms() -> dict[tuple[str, str], Form]:
    """Read the forms that ship with the package, by dialect and operation.

    Raises:
        Unstartable: a file of the installation is damaged.
    """
    return {(form.dialect, form.operation): form for form in read_folder("requests", Form)}
