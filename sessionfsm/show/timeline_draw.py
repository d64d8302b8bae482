"""Writes a timeline whose parts have their places down as SVG."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from sessionfsm.diagram.ink import number, rectangle, text_of
from sessionfsm.diagram.layout import Kind, Rect
from sessionfsm.diagram.text_width import text_width

from .run import Request, Run, Waiting
from .timeline_cells import Cell
from .timeline_layout import LABEL, SMALL, TITLE, Placed, Sheet, beside
from .timeline_time import TIMES
from .timeline_tips import tip_of
from .times import length_of

__all__ = ["GAP", "Drawing", "Pen"]

Anchor: TypeAlias = Literal["start", "middle", "end"]

GAP = 0.6
"""Free after each mark, so that two polls in a row are two."""


class Pen:
    """Writes shapes and texts in the colours of a scheme."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self.colours = colours

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        ink: str = "ink",
        *,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> str:
        """Return a text whose beginning, middle or end is at *x*."""
        look = f'class="{ink}" fill="{self.colours[ink]}" font-size="{number(size)}"'
        look += ' font-weight="bold"' if bold else ""
        at = f' text-anchor="{anchor}"' if anchor != "start" else ""
        return f'<text x="{number(x)}" y="{number(y)}"{at}><tspan {look}>{text_of(words)}</tspan></text>'

    def solid(self, rect: Rect, kind: Kind) -> str:
        return rectangle(rect, 1.5, f'class="line" fill="{self.colours[kind]}"')

    def pale(self, rect: Rect, kind: Kind, *, dashed: bool = False) -> str:
        look = f'class="box" fill="{self.colours[f"{kind}-fill"]}" stroke="{self.colours[kind]}"'
        return rectangle(rect, 2.5, look + (' stroke-dasharray="2.5 2"' if dashed else ""))

    def dot(self, x: float, y: float, kind: Kind) -> str:
        return f'<circle class="line" fill="{self.colours[kind]}" cx="{number(x)}" cy="{number(y)}" r="3"/>'


class Drawing:
    """The picture, but for its legend."""

    def __init__(self, run: Run, sheet: Sheet, colours: Mapping[str, str]) -> None:
        self._run = run
        self._sheet = sheet
        self._pen = Pen(colours)

    def parts(self) -> Iterator[str]:
        sheet, pen = self._sheet, self._pen
        yield '<g class="notes">'
        yield pen.text(16, 28, sheet.title, TITLE, bold=True)
        for line in sheet.notes:
            yield pen.text(line.rect.x, line.baseline, "".join(run.text for run in line.runs), LABEL, "soft")
        yield "</g>"
        frame = f'class="frame" fill="{pen.colours["frame"]}" stroke="{pen.colours["edge"]}"'
        yield '<g class="axis">'
        for panel in sheet.panels:
            yield rectangle(panel.rect, 6, frame)
        grid = "".join(
            f"M{number(x)} {number(panel.rect.y)}V{number(panel.rect.bottom)}"
            for x, _ in sheet.ticks
            for panel in sheet.panels
        )
        grid += "".join(f"M{number(x)} {number(sheet.axis)}v4" for x, _ in sheet.ticks)
        yield f'<path {frame} stroke-width="0.7" d="{grid}"/>'
        for x, words in sheet.ticks:
            yield pen.text(x, sheet.axis + 16, words, SMALL, "soft", anchor="middle")
        yield from self._ends()
        yield "</g>"
        for panel in sheet.panels:
            if panel.lanes[0].lane.look == "stay":
                yield from self._changes(panel.lanes)
            for lane in panel.lanes:
                yield from self._lane(lane)

    def _ends(self) -> Iterator[str]:
        """Yield a line where the run begins and one where it ends: dashed where it goes on beyond what is here."""
        sheet, run = self._sheet, self._run
        top, bottom = sheet.panels[0].rect.y, sheet.axis
        whole = {"begin": run.whole, "end": run.end == "closed"}
        kinds: dict[str, Kind] = {"begin": "plain", "end": "trouble" if run.end in ("torn", "broken_off") else "plain"}
        for which, x in (("begin", sheet.scale.left - 4), ("end", sheet.scale.right + 4)):
            colour = self._pen.colours[kinds[which]]
            dash = "" if whole[which] else ' stroke-dasharray="4 4"'
            yield (
                f'<g class="{which} {kinds[which]}"><path class="path" fill="none" stroke="{colour}" '
                f'stroke-width="2"{dash} d="M{number(x)} {number(top)}V{number(bottom)}"/></g>'
            )

    def _changes(self, lanes: Sequence[Placed]) -> Iterator[str]:
        """Yield a thin line from each state to the next one, under the bars, unless both stays are gathered."""
        middles = {id(cell.first.about): placed.middle for placed in lanes for cell in placed.cells if cell.marks == 1}
        of_state = {placed.lane.name: placed.middle for placed in lanes}
        lines: dict[tuple[float, ...], None] = {}
        for before, after in itertools.pairwise(self._run.stays):
            if id(before) in middles or id(after) in middles:
                at = sorted(of_state.get(stay.state, lanes[-1].middle) for stay in (before, after))
                lines[round(self._sheet.scale.at(after.from_s)), *at] = None
        path = "".join(f"M{x} {number(top)}V{number(bottom)}" for x, top, bottom in lines)
        if path:
            colour = self._pen.colours["plain"]
            yield '<g class="changes plain">'
            yield f'<path class="path" fill="none" stroke="{colour}" stroke-width="0.8" d="{path}"/>'
            yield "</g>"

    def _lane(self, placed: Placed) -> Iterator[str]:
        lane, pen = placed.lane, self._pen
        base = placed.middle + 0.36 * LABEL
        yield f'<g id="timeline-{lane.id}" class="lane {lane.kind}">'
        ink = "soft" if lane.trouble else "ink"
        yield pen.text(self._sheet.scale.left - 10, base, placed.name, LABEL, ink, anchor="end")
        yield pen.text(self._sheet.scale.right + 12, base, placed.total, SMALL, "soft")
        for at, cell in enumerate(placed.cells):
            yield self._mark(placed, at, cell)
        yield "</g>"

    def _mark(self, placed: Placed, at: int, cell: Cell) -> str:
        lane = placed.lane
        gathered = cell.count > 1
        kind = lane.kind if cell.marks > 1 else cell.first.kind
        data = f'data-from="{cell.from_s:.3f}" data-until="{cell.until_s:.3f}"'
        if gathered:
            data += f' data-count="{cell.count}"'
        if cell.marks == 1 and cell.first.number is not None:
            data += f' data-record="{cell.first.number}"'
        inside = "".join(self._shapes(placed, at, cell, kind))
        return f'<g class="mark {kind}" {data}><title>{text_of(tip_of(cell, lane))}</title>{inside}</g>'

    def _shapes(self, placed: Placed, at: int, cell: Cell, kind: Kind) -> Iterator[str]:
        look, pen = placed.lane.look, self._pen
        height = placed.bottom - placed.top - 5
        rect = Rect(x=cell.left, y=placed.middle - height / 2, width=cell.right - cell.left - GAP, height=height)
        words = "" if cell.count == 1 else f"{cell.count:,}" if look == "dot" else f"{TIMES} {cell.count:,}"
        match look:
            case "dot" if cell.marks == 1 and not _quiet(cell):
                yield pen.dot(cell.left + 3.7, placed.middle, kind)
            case "stay":
                yield pen.pale(rect, kind, dashed=cell.marks > 1)
                if cell.marks > 1:
                    # How much of the time it was there.
                    part = min(1.0, cell.held_s / max(cell.until_s - cell.from_s, 1e-9))
                    strip = Rect(x=rect.x, y=rect.bottom - 2.5, width=max(1.0, rect.width * part), height=2.5)
                    yield rectangle(strip, 1, f'class="line" fill="{pen.colours[kind]}"')
                else:
                    words = length_of(cell.until_s - cell.from_s)
            case "wait" if cell.marks == 1 and isinstance(cell.first.about, Waiting):
                yield from self._wait(placed, at, rect, cell.first.about, kind)
                return
            case _ if cell.count > 1:
                yield pen.pale(rect, kind)
            case _:
                yield pen.solid(rect, kind)
        yield from self._words(placed, at, rect, words, inside_only=look == "stay" and cell.marks == 1)

    def _wait(self, placed: Placed, at: int, rect: Rect, wait: Waiting, kind: Kind) -> Iterator[str]:
        """Yield how long it lasted; pale is what is left of its plan, or what it took beyond that."""
        scale, pen = self._sheet.scale, self._pen
        assert wait.planned_s is not None
        planned = scale.at(wait.from_s + wait.planned_s)
        following = (
            beside(placed.cells, at, scale) - 4 if at + 1 == len(placed.cells) else beside(placed.cells, at, scale)
        )
        rest = min(planned - rect.right, following) - GAP
        if rest >= 1:
            left = Rect(x=rect.right + GAP, y=rect.y, width=rest, height=rect.height)
            yield pen.pale(left, kind, dashed=True)
        late = rect.right - planned
        if late >= 2 and late < rect.width:
            yield pen.pale(Rect(x=planned, y=rect.y, width=late, height=rect.height), kind)
            rect = Rect(x=rect.x, y=rect.y, width=rect.width - late, height=rect.height)
        yield pen.solid(rect, kind)
        words = length_of(wait.until_s - wait.from_s)
        if late < 2 and text_width(words, SMALL) + 6 <= rect.width:
            middle = rect.x + rect.width / 2
            yield pen.text(middle, placed.middle + 0.36 * SMALL, words, SMALL, "paper", anchor="middle")

    def _words(self, placed: Placed, at: int, rect: Rect, words: str, *, inside_only: bool) -> Iterator[str]:
        """Yield words inside a mark, or after it, or nowhere: the tooltip has them in any case."""
        if not words:
            return
        width, y = text_width(words, SMALL), placed.middle + 0.36 * SMALL
        if width + 4 <= rect.width:
            yield self._pen.text(rect.x + rect.width / 2, y, words, SMALL, anchor="middle")
        elif not inside_only and width + 6 <= beside(placed.cells, at, self._sheet.scale):
            yield self._pen.text(rect.right + 3, y, words, SMALL)


def _quiet(cell: Cell) -> bool:
    return isinstance(cell.first.about, Request) and cell.first.about.counted
