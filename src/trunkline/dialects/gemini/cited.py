"""What a text rests on: citations, and places found by searching.

Google counts in bytes of UTF-8, the neutral form in characters. Source: Gemini API reference, "CitationMetadata",
"GroundingMetadata".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trunkline.dialects.neutral import Citation


class ReadCitation(msgspec.Struct, frozen=True, rename="camel"):
    """A source that was recited."""

    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The sources that were recited, under either name that they have had."""

    citation_sources: tuple[ReadCitation, ...] | None = None
    citations: tuple[ReadCitation, ...] | None = None


class Place(msgspec.Struct, frozen=True, rename="camel"):
    """Something that was found."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None


class Chunk(msgspec.Struct, frozen=True, rename="camel"):
    """One of the places: on the web, in the provider's own files, on a map."""

    web: Place | None = None
    retrieved_context: Place | None = None
    maps: Place | None = None


class Segment(msgspec.Struct, frozen=True, rename="camel"):
    """The piece of a part that rests on places."""

    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class Support(msgspec.Struct, frozen=True, rename="camel"):
    """Which places a piece rests on."""

    segment: Segment | None = None
    grounding_chunk_indices: tuple[int, ...] | None = None


class Grounding(msgspec.Struct, frozen=True, rename="camel"):
    """What was found, and what rests on it."""

    grounding_chunks: tuple[Chunk, ...] | None = None
    grounding_supports: tuple[Support, ...] | None = None


def read_citations(metadata: CitationMetadata | None, grounding: Grounding | None, text: str) -> tuple[Citation, ...]:
    """Return what a text rests on, in characters of it."""
    place = _Characters(text)
    found = []
    for one in (metadata.citation_sources or metadata.citations or ()) if metadata is not None else ():
        start, end = place.of(one.start_index or 0), place.of(one.end_index)
        found.append(Citation("answer", start, end, title=one.title, url=one.uri))
    chunks = (grounding.grounding_chunks or ()) if grounding is not None else ()
    for support in (grounding.grounding_supports or ()) if grounding is not None else ():
        segment = support.segment or Segment()
        start, end = place.of(segment.start_index or 0), place.of(segment.end_index)
        for number in support.grounding_chunk_indices or ():
            chunk = chunks[number] if 0 <= number < len(chunks) else Chunk()
            at = chunk.web or chunk.retrieved_context or chunk.maps or Place()
            found.append(Citation("answer", start, end, quote=segment.text, title=at.title, url=at.uri))
    return tuple(found)


def write_grounding(citations: Iterable[Citation], text: str) -> dict[str, Any] | None:
    """Return the `groundingMetadata` of a text; None where it rests on nothing."""
    chunks: dict[tuple[str | None, str | None], int] = {}
    supports = []
    for one in citations:
        number = chunks.setdefault((one.url, one.title), len(chunks))
        segment: dict[str, Any] = {}
        if one.unit == "answer" and one.end is not None:
            start, end = len(text[: one.start or 0].encode()), len(text[: one.end].encode())
            segment = {"startIndex": start, "endIndex": end, "text": text[one.start or 0 : one.end]}
        elif one.quote is not None:
            segment = {"text": one.quote}
        supports.append({"segment": segment, "groundingChunkIndices": [number]})
    if not supports:
        return None
    places = [
        {"web": {"uri": url, "title": title or ""}} if url is not None else {"retrievedContext": {"title": title or ""}}
        for url, title in chunks
    ]
    return {"groundingChunks": places, "groundingSupports": supports}


class _Characters:
    """Places in a text, from bytes of UTF-8 to characters."""

    def __init__(self, text: str) -> None:
        self._bytes = None if text.isascii() else text.encode()

    def of(self, place: int | None) -> int | None:
        if place is None or self._bytes is None:
            return place
        return len(self._bytes[: max(place, 0)].decode(errors="ignore"))
