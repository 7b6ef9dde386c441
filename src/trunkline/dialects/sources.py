"""Content that is no plain text, the same in several dialects: addresses that hold it, and texts that stand for it."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.neutral import Document, Inline, Part, Source, Text
from trunkline.dialects.taking import Taking
from trunkline.errors import Malformed

MARK: Final = b"data:"
BASE64: Final = "base64"
HEAD_MOST: Final = 1024
"""Within so many letters the data of a `data:` URL begin."""
NONE: Final = b'""'
OF_ANY_KIND: Final = "application/octet-stream"

_decode_text = msgspec.json.Decoder(str).decode


def take_url(taking: Taking, name: str) -> Source | None:
    """Take an address; a `data:` URL is taken apart.

    Source: RFC 2397, "The data URL scheme".

    Raises:
        Malformed: it is no text, or a `data:` URL that is not in base64.
    """
    told = taking.inline(name)
    return None if told is None else read_url(told, taking.where(name))


def is_data_url(told: Inline) -> bool:
    """Whether an address holds the content itself."""
    return bytes(told.letters[: len(MARK)]) == MARK


def read_url(told: Inline, where: str) -> Source:
    """Read an address that was taken before, as `take_url` does."""
    letters = told.letters
    if not is_data_url(told):
        return Source(url=told.text())
    head, comma, _ = bytes(letters[:HEAD_MOST]).partition(b",")
    mime, _, coding = _decode_text(b'"%b"' % head[len(MARK) :] if comma else NONE).partition(";")
    if not coding.endswith(BASE64):
        said = f"`{where}`: a `data:` URL must be base64: `data:image/png;base64,...`."
        raise Malformed(said, code="invalid_value", param=where)
    return Source(mime=mime or None, data=Inline(letters[len(head) + 1 :]))


def write_url(source: Source) -> str | Inline | None:
    """Return the address of what has one, a `data:` URL of what stands in the request; None for all else."""
    if source.data is None:
        return source.url
    return source.data.behind(f"data:{source.mime or OF_ANY_KIND};base64,")


def as_text(part: Part) -> Text | None:
    """Return a part as plain text; a document of plain text is told with its title. None for what is no text."""
    if isinstance(part, Text):
        return part
    if isinstance(part, Document) and part.source.text is not None:
        head = "\n".join(said for said in (part.title, part.context) if said)
        return Text(f"{head}\n\n{part.source.text}" if head else part.source.text)
    return None


def joined(texts: tuple[Text, ...]) -> str | list[dict[str, str]]:
    """Return texts as one where there is one, else as parts of type `text`."""
    if len(texts) == 1:
        return texts[0].text
    return [{"type": "text", "text": text.text} for text in texts] if texts else ""
