"""The lifecycle as a Mermaid state diagram, which GitHub and many editors show as a picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .arrows import arrows, loops, shared
from .labels import listed
from .model import Arc, Box, Diagram
from .overview import overview_of
from .terms import Detail
from .words import identifiers, shown, told, wrapped

__all__ = ["mermaid", "plain"]

LIVE = "live"
WIDTH = 24
"""Characters in a line of a label. Mermaid breaks longer ones by itself, after it has made room for short ones."""

# What Mermaid takes for its own: a colon ends a name, a semicolon a statement, hash and percent sign begin something
# else, a backslash an escape, a dollar sign a formula, and the rest is markup.
_PLAIN = str.maketrans(
    {
        ":": " ",
        ";": ",",
        "#": " ",
        "%": " ",
        "\\": "/",
        "$": " ",
        "<": "below",
        ">": "above",
        "&": "+",
        '"': "'",
        "`": "'",
        "*": " ",
        "~": " ",
    }
)
# Its keywords, and what its JavaScript finds in every object.
_RESERVED = frozenset(
    {
        *("as", "class", "classdef", "click", "default", "direction", "end", "hide", "note", "root", "scale", "state"),
        *("style", "__proto__", "constructor", "hasownproperty", "prototype", "tostring", "valueof"),
    }
)


def mermaid(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return *diagram* as Mermaid text.

    There is one arrow for all rows that lead from one state to another with the same command. Its label has a line for
    each row (the trigger, and in brackets what the memory must satisfy), then the command. What leads from a state back
    to itself is written inside the state. Rows that many states share leave the frame around these states.
    """
    if detail == "overview":
        diagram = overview_of(diagram)
    names = [box.name for box in diagram.boxes]
    frame = diagram.frame if LIVE not in names else ()
    ids = identifiers(names, {*_RESERVED, LIVE} if frame else _RESERVED)
    out = {arc.row for arc in shared(diagram)} if frame else set()
    begins = ids[diagram.initial]
    lines = ["stateDiagram-v2", f"    [*] --> {begins}"]
    if frame:
        lines.append(f"    state {LIVE} {{")
        for box in (box for name in frame for box in diagram.boxes if box.name == name):
            inner = [arc for arc in diagram.arcs if arc.source == box.name and arc.target in frame]
            lines += [f"    {line}" for line in (*_inside(diagram, box, ids), *_arrows(inner, ids))]
        lines.append("    }")
        lines += _arrows(shared(diagram), {**ids, frame[0]: LIVE})
    for box in diagram.boxes:
        if box.name not in frame:
            lines += _inside(diagram, box, ids)
        leading = [arc for arc in diagram.arcs if arc.source == box.name and arc.row not in out]
        if box.name in frame:
            leading = [arc for arc in leading if arc.target not in frame]
        lines += _arrows(leading, ids)
    lines.append(f"    {begins} --> [*]")
    lines += _looks(diagram, ids)
    return "\n".join(lines) + "\n"


def _inside(diagram: Diagram, box: Box, ids: Mapping[str, str]) -> Iterator[str]:
    run = filter(None, [plain(told(diagram, box).replace("%", "percent"))])
    lines = [*run, *map(plain, box.inside), *(_row(arc) for arc in loops(diagram, box.name))]
    if lines or ids[box.name] != box.name:
        for text in (plain(box.name), *lines):
            yield f"    {ids[box.name]} : {text}"


def _arrows(arcs: Iterable[Arc], ids: Mapping[str, str]) -> Iterator[str]:
    for arrow in arrows(arcs):
        label = [_row(arc) for arc in arrow.arcs] if len(arrow.arcs) == 1 else []
        if not label or len(label[0]) > WIDTH:
            label = [line for arc in arrow.arcs for line in wrapped(_parts(arc), WIDTH)]
            label += wrapped(_command(arrow.command, arrow.figure), WIDTH)
        yield f"    {ids[arrow.source]} --> {ids[arrow.target]} : {'<br>'.join(filter(None, label))}"


def _looks(diagram: Diagram, ids: Mapping[str, str]) -> Iterator[str]:
    """Yield how states look: the one in which a run is, and those in which it never was."""
    here = [ids[box.name] for box in diagram.boxes if box.name == diagram.now]
    never = [ids[box.name] for box in diagram.boxes if box.share == 0.0 and box.name != diagram.now]
    for name, look, states in (("here", "stroke-width:4px", here), ("never", "opacity:0.4", never)):
        if states:
            yield f"    classDef {name} {look}"
            yield f"    class {','.join(states)} {name}"


def _row(arc: Arc) -> str:
    return " ".join((*_parts(arc), *_command(arc.command, arc.figure)))


def _parts(arc: Arc) -> list[str]:
    """Return the trigger and its guards, cut where a line may end."""
    taken = [f"{arc.taken:,} ×"] if arc.taken else []
    return [*taken, plain(arc.trigger), *listed([plain(guard) for guard in arc.guards], "[", "]")]


def _command(command: str, figure: str) -> list[str]:
    return ([f"→ {plain(command)}"] if command else []) + ([f"({plain(figure)})"] if figure else [])


def plain(text: str) -> str:
    """Return *text* in one line, without what Mermaid takes for its own."""
    # An underscore at the edge of a word begins emphasis; a wide one does not.
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", "\N{FULLWIDTH LOW LINE}", shown(text))
    return " ".join(line.translate(_PLAIN).split())
