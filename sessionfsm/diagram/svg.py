"""The lifecycle as an SVG picture, which needs no program to draw and no font, script or server to show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from .ink import Scheme, colours_of, number, rectangle, style_sheet, text_of
from .layout import Arrow, Kind, Layout, Line, Loop, Placed, Point, Style
from .layout_arrows import said
from .layout_place import layout_of
from .layout_text import BOLD, SIZES
from .model import Diagram, sum_of
from .terms import Detail
from .text_width import FONTS
from .words import shown

__all__ = ["draw", "svg"]

_INK: dict[Style, str] = {
    "name": "ink",
    "meaning": "soft",
    "count": "line",
    "trigger": "ink",
    "guard": "soft",
    "command": "line",
    "figure": "soft",
    "memory": "soft",
}
CORNER = 9.0
HEAD = 9.0


def svg(diagram: Diagram, *, detail: Detail = "full", scheme: Scheme = "auto") -> str:
    """
    Return the lifecycle as an SVG document, the same for the same diagram to the last byte.

    Every state and every arc has an element with its id (:attr:`Box.id`, :attr:`Arc.id`) and a tooltip with its meaning
    or its reason.

    Args:
        detail: ``full`` writes every row with its guards, its command and what becomes of the memory; ``overview`` has
            one arrow from state to state, with few words.
        scheme: ``auto`` is dark where the reader prefers that, and light wherever it is not known.
    """
    return draw(diagram, layout_of(diagram, detail=detail), scheme=scheme)


def draw(diagram: Diagram, layout: Layout, *, scheme: Scheme = "auto") -> str:
    """Return a picture whose parts have their places."""
    colours = colours_of(scheme)
    width, height = number(layout.width), number(layout.height)
    names = ", ".join(shown(box.name) for box in diagram.boxes)
    parts = [
        # Some programs trim each stretch of a line by itself, unless the blanks are to be kept.
        '<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" class="sessionfsm" role="img" '
        'aria-labelledby="lifecycle-title lifecycle-desc" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{FONTS}" font-size="13">',
        f'<title id="lifecycle-title">{text_of(f"Lifecycle: {diagram.name}")}</title>',
        f'<desc id="lifecycle-desc">{text_of(_description(diagram, names))}</desc>',
        style_sheet(scheme),
        f'<rect class="paper" width="{width}" height="{height}" rx="10" fill="{colours["paper"]}"/>',
        *_Drawing(diagram, layout, colours).parts(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _description(diagram: Diagram, names: str) -> str:
    rows = len({arc.row for arc in diagram.arcs})
    begin = f"A session begins, and ends, in {shown(diagram.initial)}."
    return f"A state diagram with {len(diagram.boxes)} states ({names}) and {rows} rows. {begin}"


class _Drawing:
    def __init__(self, diagram: Diagram, layout: Layout, colours: Mapping[str, str]) -> None:
        self._layout = layout
        self._colours = colours
        self._now = diagram.now
        self._reasons = {arc.id: f"{said(arc)}: {arc.reason}" for arc in diagram.arcs}
        self._taken = {arc.id: arc.taken for arc in diagram.arcs}

    def parts(self) -> Iterator[str]:
        layout = self._layout
        if layout.frame:
            yield rectangle(
                layout.frame, 14, f'class="frame" fill="{self._colours["frame"]}" stroke="{self._colours["edge"]}"'
            )
        for arrow in layout.arrows:
            yield from self._arrow(arrow)
        yield from self._entry()
        for placed in layout.boxes:
            yield from self._state(placed)
        yield '<g class="notes plain">'
        for line in layout.notes:
            yield self._line(line, "plain")
        yield "</g>"

    def _state(self, placed: Placed) -> Iterator[str]:
        kind, colours = placed.kind, self._colours
        look = f'class="box" fill="{colours[f"{kind}-fill"]}" stroke="{colours[kind]}"'
        yield f'<g id={quoteattr(placed.box.id)} class="state {kind}">'
        yield f"<title>{text_of(': '.join(part for part in (placed.box.name, placed.box.meaning) if part))}</title>"
        here = placed.box.name == self._now
        yield rectangle(placed.rect, 10, f'{look} stroke-width="{4 if here else 1.6}"')
        for line in placed.lines:
            yield self._line(line, kind)
        for loop in placed.loops:
            yield from self._loop(loop)
        yield "</g>"

    def _entry(self) -> Iterator[str]:
        start, _ = self._layout.entry
        colour = self._colours["plain"]
        yield '<g class="entry plain"><title>Here a session begins, and ends.</title>'
        yield f'<circle class="line" cx="{number(start[0])}" cy="{number(start[1])}" r="5" fill="{colour}"/>'
        yield from self._path(self._layout.entry, "plain", 1.6)
        yield "</g>"

    def _arrow(self, arrow: Arrow) -> Iterator[str]:
        yield f'<g class="arrow {arrow.kind}"{_faded(arrow.taken)}>'
        ways = [
            f"<title>{text_of(arrow.reason)}</title>",
            *self._path(arrow.points, arrow.kind, self._width(arrow)),
        ]
        yield from self._wrapped(ways, arrow.arcs, arrow.label)
        yield from self._label(arrow.label, arrow.kind, fading=bool(arrow.taken))
        yield "</g>"

    def _width(self, arrow: Arrow) -> float:
        """Return how wide an arrow is: the way of good polls stands out, or else the way that a run took."""
        if arrow.taken is None:
            return 2.4 if arrow.kind == "happy" else 1.6
        return 2.6 if arrow.taken else 1.2

    def _loop(self, loop: Loop) -> Iterator[str]:
        yield f'<g class="loop {loop.kind}"{_faded(loop.taken)}>'
        x, y = loop.icon
        r = 5.0
        tip = (x + r * math.cos(-0.35), y + r * math.sin(-0.35))
        colour = self._colours[loop.kind]
        sign = [
            f"<title>{text_of(loop.reason)}</title>",
            f'<path class="path" fill="none" stroke="{colour}" stroke-width="1.6" '
            f'd="M{number(x + r * 0.77)} {number(y + r * 0.64)}'
            f'A{number(r)} {number(r)} 0 1 1 {number(tip[0])} {number(tip[1])}"/>',
            f'<path class="line" fill="{colour}" d="M{number(tip[0] - 3.6)} {number(tip[1] - 0.6)}'
            f'L{number(tip[0] + 3)} {number(tip[1] - 1)}L{number(tip[0] + 0.4)} {number(tip[1] + 4)}Z"/>',
        ]
        yield from self._wrapped(sign, loop.arcs, loop.label)
        yield from self._label(loop.label, loop.kind, fading=bool(loop.taken))
        yield "</g>"

    def _wrapped(self, parts: Sequence[str], arcs: Iterable[Sequence[str]], label: Sequence[Line]) -> Iterator[str]:
        """Yield parts, inside the elements of those arcs that no line of the label speaks of."""
        written = {each for line in label for each in line.arcs}
        ids = [each for row in arcs for each in row if each not in written]
        yield "".join(f'<g id={quoteattr(each)} class="arc">' for each in ids) + parts[0]
        yield from parts[1:]
        if ids:
            yield "</g>" * len(ids)

    def _label(self, label: Sequence[Line], kind: Kind, *, fading: bool) -> Iterator[str]:
        """Yield what is written at an arrow; *fading*: rows fade that the run did not come by, as it came by others."""
        for ids, lines in groupby(label, key=lambda line: line.arcs):
            if ids:
                look = _faded(sum_of(self._taken[each] for each in ids)) if fading else ""
                looks = [look, *[""] * (len(ids) - 1)]
                yield "".join(
                    f'<g id={quoteattr(each)} class="arc"{look}>' for each, look in zip(ids, looks, strict=True)
                )
                reasons = dict.fromkeys(self._reasons[each] for each in ids)
                yield f"<title>{text_of(chr(10).join(reasons))}</title>"
            for line in lines:
                yield self._line(line, kind)
            if ids:
                yield "</g>" * len(ids)

    def _line(self, line: Line, kind: Kind) -> str:
        runs = "".join(self._run(run.text, run.style, kind) for run in line.runs)
        return f'<text x="{number(line.rect.x)}" y="{number(line.baseline)}">{runs}</text>'

    def _run(self, text: str, style: Style, kind: Kind) -> str:
        ink = _INK[style]
        look = (
            f'class="{ink}" fill="{self._colours[kind if ink == "line" else ink]}" font-size="{number(SIZES[style])}"'
        )
        if style in BOLD:
            look += ' font-weight="bold"'
        if style == "memory":
            look += ' font-style="italic"'
        return f"<tspan {look}>{escape(text)}</tspan>"

    def _path(self, points: Sequence[Point], kind: Kind, width: float) -> Iterator[str]:
        colour = self._colours[kind]
        (x, y), before = points[-1], points[-2]
        length = math.dist((x, y), before)
        dx, dy = (x - before[0]) / length, (y - before[1]) / length
        neck = (x - dx * HEAD * 0.8, y - dy * HEAD * 0.8)
        yield (
            f'<path class="path" fill="none" stroke="{colour}" stroke-width="{number(width)}" '
            f'd="{_rounded([*points[:-1], neck])}"/>'
        )
        side = HEAD * 0.5
        base = (x - dx * HEAD, y - dy * HEAD)
        yield (
            f'<path class="line" fill="{colour}" d="M{number(x)} {number(y)}'
            f"L{number(base[0] - dy * side)} {number(base[1] + dx * side)}"
            f'L{number(base[0] + dy * side)} {number(base[1] - dx * side)}Z"/>'
        )


def _faded(taken: int | None) -> str:
    """Return what makes a part fade that the run did not come by."""
    return ' opacity="0.38"' if taken == 0 else ""


def _rounded(points: Sequence[Point]) -> str:
    """Return a path through *points* with round corners."""
    path = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start = _towards(corner, before)
        end = _towards(corner, after)
        path.append(
            f"L{number(start[0])} {number(start[1])}"
            f"Q{number(corner[0])} {number(corner[1])} {number(end[0])} {number(end[1])}"
        )
    path.append(f"L{number(points[-1][0])} {number(points[-1][1])}")
    return "".join(path)


def _towards(corner: Point, other: Point) -> Point:
    length = math.dist(corner, other)
    part = min(CORNER, length / 2) / length if length else 0.0
    return corner[0] + (other[0] - corner[0]) * part, corner[1] + (other[1] - corner[1]) * part
