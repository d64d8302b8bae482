"""Arcs gathered into the arrows of a picture, which would be too many if each were drawn by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .model import Arc, Diagram, sum_of

__all__ = ["Arrow", "arrows", "loops", "row_sources", "shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """
    All arcs that lead from one state to another with the same command.

    Attributes:
        source: The state before.
        target: The state after.
        command: What is ordered, in words; empty for nothing.
        figure: The command's seconds in words; empty without any.
        arcs: At least one, in the table's order.
    """

    source: str
    target: str
    command: str
    figure: str
    arcs: tuple[Arc, ...]

    @property
    def ordered(self) -> str:
        """The command with its figure; empty for nothing."""
        return ordered(self.command, self.figure)


def ordered(command: str, figure: str) -> str:
    """Return a command with its figure."""
    return f"{command} ({figure})" if figure else command


def arrows(arcs: Iterable[Arc]) -> list[Arrow]:
    """Return the arrows that *arcs* make, without those that lead back to where they come from."""
    found: dict[tuple[str, str, str], list[Arc]] = {}
    for arc in arcs:
        if arc.source != arc.target:
            found.setdefault((arc.source, arc.target, arc.command), []).append(arc)
    return [
        Arrow(source=source, target=target, command=command, figure=group[0].figure, arcs=tuple(group))
        for (source, target, command), group in found.items()
    ]


def loops(diagram: Diagram, state: str) -> Iterator[Arc]:
    """Yield the arcs that lead from *state* back to it."""
    return (arc for arc in diagram.arcs if arc.source == arc.target == state)


def row_sources(diagram: Diagram) -> dict[int, tuple[str, ...]]:
    """Return the sources of each row that has an arc, in the row's order."""
    found: dict[int, tuple[str, ...]] = {}
    for arc in diagram.arcs:
        found[arc.row] = (*found.get(arc.row, ()), arc.source)
    return found


def shared(diagram: Diagram) -> tuple[Arc, ...]:
    """Return one arc for each row that all states in the frame share, and no other: the first state's, for all."""
    sources = row_sources(diagram)
    return tuple(
        replace(arc, taken=sum_of(each.taken for each in diagram.arcs if each.row == arc.row))
        for arc in diagram.arcs
        if diagram.frame and sources[arc.row] == diagram.frame and arc.source == diagram.frame[0]
        if arc.target not in diagram.frame
    )
