"""The lifecycle for a terminal: boxes with what leads out of them, legible without colour."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from .arrows import ordered, shared
from .labels import listed
from .model import Arc, Box, Diagram
from .overview import overview_of
from .terms import Detail
from .words import shown

__all__ = ["text"]

COLUMNS = 80
LIVE = "live"
_SLIDE = 48
_RULE = "\n"  # a line across a box; nothing that is shown has one in it


def text(diagram: Diagram, *, detail: Detail = "full") -> str:
    """
    Return *diagram* as lines of at most 80 columns, drawn with boxes.

    A box has a line for each of its state's rows: the trigger, the guards in brackets, the next state (``↻``: the same
    one), the command behind it, then what becomes of the memory. Rows that many states share stand at the end of the
    frame around these states. In an overview, what leads to the next box is drawn as an arrow.
    """
    if detail == "overview":
        return "".join(f"{line}\n" for line in _overview(overview_of(diagram)))
    lines = [f"{_cut(shown(diagram.name), COLUMNS - 30)}: begins and ends in {_cut(shown(diagram.initial), 12)}", ""]
    common = {arc.row for arc in shared(diagram)}
    boxes = _from_the_beginning(diagram)
    framed = [box for box in boxes if box.name in diagram.frame]
    outside = [box for box in boxes if box.name not in diagram.frame]
    for box in outside[:1]:
        lines += _box(box, diagram.arcs, COLUMNS)
    if framed:
        inner: list[str] = []
        for box in framed:
            inner += _box(box, (arc for arc in diagram.arcs if arc.row not in common), COLUMNS - 4)
        for arc in shared(diagram):
            inner += _row(arc, COLUMNS - 4)
        lines += _framed(LIVE, inner, COLUMNS)
    for box in outside[1:]:
        lines += _box(box, diagram.arcs, COLUMNS)
    lines += [""] if diagram.signals else []
    for signal, command, when in diagram.signals:
        whole = f"{shown(command)}{f', {shown(when)}' if when else ''}"
        lines += _wrapped([f"! {shown(signal)}", *f"raised by: {whole}".split()], COLUMNS, 4)
    return "".join(f"{line}\n" for line in lines)


def _from_the_beginning(diagram: Diagram) -> list[Box]:
    return sorted(diagram.boxes, key=lambda box: box.name != diagram.initial)


def _overview(diagram: Diagram) -> Iterator[str]:
    boxes = _from_the_beginning(diagram)
    for box, after in zip_longest(boxes, boxes[1:]):
        leading = [arc for arc in diagram.arcs if arc.source == box.name]
        onward = [arc for arc in leading if after is not None and arc.target == after.name]
        inside = [f"{shown(name)}{',' if name != box.inside[-1] else ''}" for name in box.inside]
        body = _wrapped(inside, _SLIDE - 4, 0)
        for arc in leading:
            body += _row(arc, _SLIDE - 4) if arc not in onward else []
        yield from _framed(shown(box.name), body, _SLIDE)
        for line in _wrapped([shown(arc.trigger) for arc in onward], _SLIDE - 10, 0):
            yield f"        │ {line}"
        if after is not None:
            yield "        ▼" if onward else ""


def _box(box: Box, arcs: Iterable[Arc], columns: int) -> list[str]:
    body = _wrapped(shown(box.meaning).split(), columns - 4, 0)
    rows = [line for arc in arcs if arc.source == box.name for line in _row(arc, columns - 4)]
    if body and rows:
        body.append(_RULE)
    return _framed(shown(box.name), [*body, *rows], columns)


def _row(arc: Arc, columns: int) -> list[str]:
    guards = listed([shown(guard) for guard in arc.guards], "[", "]")
    command = [f"· {shown(ordered(arc.command, arc.figure))}"] if arc.command else []
    target = "↻" if arc.source == arc.target else f"→ {shown(arc.target)}"
    lines = _wrapped([shown(arc.trigger), *guards, target, *command], columns, 6)
    if arc.updates:
        lines += [f"      {line}" for line in _wrapped(listed([*map(shown, arc.updates)], "", ""), columns - 6, 0)]
    return lines


def _framed(title: str, body: Iterable[str], columns: int) -> list[str]:
    title = _cut(title, columns - 6)
    head = f"╭─ {title} " + "─" * (columns - 5 - _width(title)) + "╮"
    rule = f"├{'─' * (columns - 2)}┤"
    inner = [rule if line == _RULE else f"│ {line}{' ' * (columns - 4 - _width(line))} │" for line in body]
    return [head, *inner, "╰" + "─" * (columns - 2) + "╯"]


def _wrapped(parts: Iterable[str], columns: int, indent: int) -> list[str]:
    """Return *parts* with a space between, in lines of at most *columns*; all but the first are indented."""
    lines: list[str] = []
    line = ""
    for part in parts:
        piece = part
        while piece:
            room = columns - (indent if lines else 0)
            joined = f"{line} {piece}" if line else piece
            if _width(joined) <= room:
                line, piece = joined, ""
            elif line:
                lines.append(" " * (indent if lines else 0) + line)
                line = ""
            else:  # one part alone is wider than a line
                fits = _cut(piece, room, "")
                lines.append(" " * (indent if lines else 0) + fits)
                piece = piece[len(fits) :]
    return [*lines, " " * (indent if lines else 0) + line] if line else lines


def _cut(line: str, columns: int, mark: str = "…") -> str:
    """Return as much of *line* as *columns* have room for, with *mark* at its end if that is not all."""
    if _width(line) <= columns:
        return line
    width, kept = _width(mark), ""
    for character in line:
        width += _width(character)
        if width > columns:
            break
        kept += character
    return kept + mark


def _width(line: str) -> int:
    """Return how many columns a terminal gives *line*: two for East Asian wide characters, none for marks on others."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in line
    )
