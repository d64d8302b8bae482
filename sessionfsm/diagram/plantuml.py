"""The lifecycle as a PlantUML state diagram."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .arrows import arrows, loops, ordered, shared
from .labels import lines_of
from .model import Arc, Box, Diagram
from .overview import overview_of
from .terms import Detail
from .words import identifiers, shown

__all__ = ["plantuml"]

_LIVE = "live"
_WIDTH = 40
# A word of its own at the beginning of a line, and what it takes for the pseudo-states.
_RESERVED = frozenset(
    (
        "as",
        "caption",
        "end",
        "footer",
        "header",
        "hide",
        "legend",
        "note",
        "scale",
        "show",
        "skinparam",
        "state",
        "title",
    )
)
# PlantUML has markup, variables, includes and escapes of its own, more with each version: what is not a letter, a
# figure or plain punctuation is given by its number, which it shows as the character.
_SPECIAL = re.compile(r"[^\w .,:;()\[\]=≥…→+/-]|_{2,}|/{2,}|-{2,}|\.{2,}|:{2,}|={2,}|\[{2,}|\]{2,}")


def plantuml(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return *diagram* as PlantUML text.

    There is one arrow for all rows that lead from one state to another with the same command; its label has the
    trigger, the guards and the memory of each row, then the command. What leads from a state back to itself is written
    inside the state. Rows that many states share leave the frame around these states.
    """
    if detail == "overview":
        diagram = overview_of(diagram)
    names = [box.name for box in diagram.boxes]
    ids = identifiers(names, {*_RESERVED, _LIVE} if diagram.frame else _RESERVED)
    begins = ids[diagram.initial]
    title = [f"title {_text(diagram.name)}"] if shown(diagram.name) else []
    lines = ["@startuml", *title, "hide empty description", f"[*] --> {begins}"]
    if diagram.frame:
        lines.append(f"state {_LIVE} {{")
        for box in diagram.boxes:
            if box.name in diagram.frame:
                lines += [f"    {line}" for line in _box(diagram, box, ids)]
        lines.append("}")
    for box in diagram.boxes:
        if box.name not in diagram.frame:
            lines += _box(diagram, box, ids)
    common = {arc.row for arc in shared(diagram)}
    lines += _arrows((arc for arc in diagram.arcs if arc.row not in common), ids)
    lines += _arrows(shared(diagram), {**ids, **dict.fromkeys(diagram.frame[:1], _LIVE)})
    return "\n".join([*lines, f"{begins} --> [*]", "@enduml"]) + "\n"


def _box(diagram: Diagram, box: Box, ids: Mapping[str, str]) -> Iterator[str]:
    identifier = ids[box.name]
    name = _text(box.name)
    yield f"state {identifier}" if identifier == name == box.name else f'state "{name}" as {identifier}'
    inside = [*map(_text, box.inside)]
    for arc in loops(diagram, box.name):
        inside += [*lines_of(arc, _WIDTH, _text), *_command(arc.command, arc.figure)]
    for line in inside:
        yield f"{identifier} : {line}"


def _arrows(arcs: Iterable[Arc], ids: Mapping[str, str]) -> Iterator[str]:
    for arrow in arrows(arcs):
        label = [line for arc in arrow.arcs for line in lines_of(arc, _WIDTH, _text)]
        label += _command(arrow.command, arrow.figure)
        yield f"{ids[arrow.source]} --> {ids[arrow.target]} : " + "\\n".join(label)


def _command(command: str, figure: str) -> list[str]:
    return [f"→ {_text(ordered(command, figure))}"] if command else []


def _text(text: str) -> str:
    return _SPECIAL.sub(lambda found: "".join(f"<U+{ord(each):04X}>" for each in found[0]), shown(text))
