"""Which arrows a picture has: rows with the same ends and command share one, and so do the states in a frame."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .layout import Kind
from .model import Arc, Diagram, sum_of
from .terms import Detail

__all__ = ["Bundle", "bundles_of", "frame_of", "kind_of_state", "said"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """
    An arrow before it has a place.

    Attributes:
        source: The name of a state; empty for the frame.
        target: The name of a state.
        rows: The rows that it stands for: of each, its arcs, which differ in their source only.
    """

    source: str
    target: str
    rows: tuple[tuple[Arc, ...], ...]

    @property
    def arcs(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(arc.id for arc in row) for row in self.rows)

    @property
    def kind(self) -> Kind:
        return _kind(self.rows[0][0].command)

    @property
    def taken(self) -> int | None:
        return sum_of(arc.taken for row in self.rows for arc in row)

    @property
    def reason(self) -> str:
        return "\n".join(f"{said(row[0])}: {row[0].reason}" for row in self.rows)


def frame_of(diagram: Diagram) -> tuple[str, ...]:
    """
    Return the names of the states that share a way out.

    Where no row of the table has three sources, rows that say the same of three states or more count as one.
    """
    if diagram.frame:
        return diagram.frame
    shared: dict[tuple[object, ...], list[str]] = {}
    for arc in diagram.arcs:
        shared.setdefault(_same(arc), []).append(arc.source)
    found = [
        tuple(dict.fromkeys(sources))
        for key, sources in shared.items()
        if len(set(sources)) > 2 and key[0] not in sources
    ]
    return max(found, key=len, default=())


def bundles_of(diagram: Diagram, frame: tuple[str, ...], detail: Detail) -> tuple[Bundle, ...]:
    """Return every arrow, loops too, in the order of the rows; an overview has one for all commands."""
    rows: dict[tuple[object, ...], list[Arc]] = {}
    for arc in diagram.arcs:
        rows.setdefault(_same(arc), []).append(arc)
    together: dict[tuple[str, ...], list[tuple[Arc, ...]]] = {}
    for arcs in rows.values():
        whole = frame and {arc.source for arc in arcs} == set(frame) and arcs[0].target not in frame
        for source, row in [("", arcs)] if whole else [(arc.source, [arc]) for arc in arcs]:
            command = () if detail == "overview" else (row[0].command, row[0].figure)
            together.setdefault((source, row[0].target, *command), []).append(tuple(row))
    return tuple(Bundle(source=key[0], target=key[1], rows=tuple(found)) for key, found in together.items())


def kind_of_state(diagram: Diagram, name: str) -> Kind:
    """Return what a state is for, as most arcs into it say."""
    if name == diagram.initial:
        return "plain"
    kinds = Counter(_kind(arc.command) for arc in diagram.arcs if arc.target == name)
    return max(kinds, key=lambda kind: kinds[kind]) if kinds else "plain"


def _same(arc: Arc) -> tuple[object, ...]:
    return arc.target, arc.trigger, arc.guards, arc.updates, arc.command, arc.figure, arc.reason


def said(arc: Arc) -> str:
    """Return the trigger with its guards."""
    return f"{arc.trigger} [{', '.join(arc.guards)}]" if arc.guards else arc.trigger


def _kind(command: str) -> Kind:
    match command.split(",")[0].split(" ")[0]:
        case "poll":
            return "happy"
        case "renew" | "perform":
            return "renewal"
        case "wait" | "pause":
            return "trouble"
        case _:
            return "plain"
