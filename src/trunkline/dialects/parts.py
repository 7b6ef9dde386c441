"""Which part of a candidate goes on, for wires that do not say where parts begin and end."""

from __future__ import annotations

from trunkline.dialects.deltas import Delta, Kind, PartStarted, PartStopped


class Parts:
    """The parts of one candidate so far.

    Attributes:
        part: the number of the one that began last.
        kind: what it is; None where it is whole.
    """

    __slots__ = ("_begun", "_candidate", "kind", "part")

    def __init__(self, candidate: int) -> None:
        self._candidate = candidate
        self._begun = 0
        self.part = -1
        self.kind: Kind | None = None

    def enter(self, kind: Kind, deltas: list[Delta]) -> None:
        """Go on with the part that is open, or begin one where it is of another kind."""
        if self.kind is not kind:
            self.close(deltas)
            self.begin(kind, deltas)

    def begin(self, kind: Kind, deltas: list[Delta], call: tuple[str, str] = ("", "")) -> None:
        """Begin a part; a tool call with its id and name."""
        self.part, self.kind = self._begun, kind
        self._begun += 1
        deltas.append(PartStarted(self._candidate, self.part, kind, *call))

    def close(self, deltas: list[Delta]) -> None:
        """End the part that is open, if there is one."""
        if self.kind is not None:
            deltas.append(PartStopped(self._candidate, self.part))
            self.kind = None
