"""The lifecycle in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .arrows import Arrow, arrows, loops, ordered, shared
from .labels import lines_of
from .model import Arc, Box, Diagram
from .overview import overview_of
from .terms import Detail
from .words import shown

__all__ = ["dot"]

_BEGIN = "begin"  # no id of the model is without a dash
_WIDTH = 34
# In a string a quotation mark ends it, a backslash begins an escape, and Graphviz reads entities as HTML does.
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;", "<": "&lt;", ">": "&gt;"})


def dot(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return *diagram* as DOT text: write ``dot -Tpdf`` to have it laid out.

    There is one edge for all rows that lead from one state to another with the same command; its label has the
    trigger, the guards and the memory of each row, then the command, and its tooltip the reasons. What leads from a
    state back to itself is written inside the node. Rows that many states share leave the cluster around these states.
    """
    whole = detail == "full"
    if not whole:
        diagram = overview_of(diagram)
    ids = {box.name: _quoted(box.id) for box in diagram.boxes}
    lines = [
        f"digraph {_quoted(_text(diagram.name))} {{",
        "    graph [compound=true, rankdir=TB, nodesep=0.6, ranksep=0.8, fontname=Helvetica, fontsize=11];",
        '    node [shape=box, style="rounded,filled", fillcolor=white, fontname=Helvetica, fontsize=12];',
        "    edge [fontname=Helvetica, fontsize=10];",
        f'    {_BEGIN} [shape=circle, width=0.2, label="", fillcolor=black, tooltip="Beginning and end."];',
    ]
    if diagram.frame:
        lines.append('    subgraph "cluster-live" {')
        lines.append('        label="live"; labeljust=l; style="rounded,dashed";')
        lines += [f"        {_node(diagram, box)}" for box in diagram.boxes if box.name in diagram.frame]
        lines.append("    }")
    lines += [f"    {_node(diagram, box)}" for box in diagram.boxes if box.name not in diagram.frame]
    lines.append(f"    {_BEGIN} -> {ids[diagram.initial]};")
    common = {arc.row for arc in shared(diagram)}
    lines += _edges((arc for arc in diagram.arcs if arc.row not in common), ids, diagram.initial, whole)
    # An edge has to begin at some node of the cluster; the last one is nearest to what follows.
    nearest = {diagram.frame[0]: ids[diagram.frame[-1]]} if diagram.frame else {}
    lines += _edges(shared(diagram), {**ids, **nearest}, diagram.initial, whole, 'ltail="cluster-live"')
    return "\n".join([*lines, "}"]) + "\n"


def _node(diagram: Diagram, box: Box) -> str:
    inside = [*map(_text, box.inside)]
    for arc in loops(diagram, box.name):
        inside += [*lines_of(arc, _WIDTH, _text), *_command(arc.command, arc.figure)]
    label = f"{_text(box.name)}\\n\\n" + "".join(f"{line}\\l" for line in inside) if inside else _text(box.name)
    return f"{_quoted(box.id)} [id={_quoted(box.id)}, label={_quoted(label)}, tooltip={_quoted(_text(box.meaning))}];"


def _edges(arcs: Iterable[Arc], ids: Mapping[str, str], initial: str, whole: bool, more: str = "") -> Iterator[str]:
    for arrow in arrows(arcs):
        attributes = [
            f"id={_quoted(arrow.arcs[0].id)}",
            f"label={_quoted(_label(arrow, whole))}",
            f"tooltip={_quoted(_reasons(arrow))}",
            f"labeltooltip={_quoted(_reasons(arrow))}",
        ]
        # The way back to the beginning does not pull the beginning down.
        attributes += ["constraint=false"] if arrow.target == initial else []
        attributes += [more] if more else []
        yield f"    {ids[arrow.source]} -> {ids[arrow.target]} [{', '.join(attributes)}];"


def _label(arrow: Arrow, whole: bool) -> str:
    if not whole:
        return "\\n".join(f" {_text(arc.trigger)}" for arc in arrow.arcs)
    lines = [line for arc in arrow.arcs for line in lines_of(arc, _WIDTH, _text)]
    return "".join(f" {line} \\l" for line in (*lines, *_command(arrow.command, arrow.figure)))


def _command(command: str, figure: str) -> list[str]:
    return [f"→ {_text(ordered(command, figure))}"] if command else []


def _reasons(arrow: Arrow) -> str:
    return "\\n".join(dict.fromkeys(_text(arc.reason) for arc in arrow.arcs))


def _text(text: str) -> str:
    return shown(text).translate(_ESCAPED)


def _quoted(text: str) -> str:
    return f'"{text}"'
