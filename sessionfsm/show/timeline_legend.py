"""Says what the marks of a timeline mean: those that are in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sessionfsm.diagram.ink import rectangle
from sessionfsm.diagram.layout import Rect
from sessionfsm.diagram.text_width import text_width

from .run import Request, Waiting
from .timeline_draw import Pen
from .timeline_layout import EDGE, SMALL, Sheet

__all__ = ["legend_of"]

LINE = 19.0
SIGN = 22.0


@dataclass(frozen=True, slots=True)
class _Entry:
    sign: str
    words: str


def legend_of(sheet: Sheet, colours: Mapping[str, str]) -> tuple[list[str], float]:
    """Return the elements of the legend, and how high it is."""
    pen = Pen(colours)
    parts = ['<g class="legend">']
    x, y = EDGE, sheet.bottom + 8
    for entry in _entries(sheet):
        width = SIGN + 6 + text_width(entry.words, SMALL)
        if x > EDGE and x + width > sheet.width - EDGE:
            x, y = EDGE, y + LINE
        parts += _sign(pen, entry.sign, x, y)
        parts.append(pen.text(x + SIGN + 6, y + 10, entry.words, SMALL, "soft"))
        x += width + 16
    return [*parts, "</g>"], y + LINE - sheet.bottom


def _entries(sheet: Sheet) -> Iterator[_Entry]:
    lanes = [placed for panel in sheet.panels for placed in panel.lanes]
    cells = [(placed.lane.look, cell) for placed in lanes for cell in placed.cells]
    waits = [cell.first.about for _, cell in cells if isinstance(cell.first.about, Waiting)]
    quiet = any(isinstance(cell.first.about, Request) and cell.first.about.counted for _, cell in cells)
    yield _Entry("box", "a stay in a state")
    if any(look == "stay" and cell.marks > 1 for look, cell in cells):
        yield _Entry("share", "several stays; the strip is their share of the time")
    yield _Entry("bar", "one, from beginning to end")
    if quiet or any(look != "stay" and cell.marks > 1 for look, cell in cells):
        yield _Entry("pale", "several, gathered" + ("; quiet polls are only counted" if quiet else ""))
    if any(look == "dot" for look, _ in cells):
        yield _Entry("dot", "messages that came")
    if any(wait.cut for wait in waits if wait.planned_s is not None):
        yield _Entry("cut", "a wait, cut short: dashed is what was left")
    if any(wait.planned_s is not None and wait.until_s - wait.from_s > wait.planned_s * 1.5 for wait in waits):
        yield _Entry("late", "a wait that took longer than planned")
    yield _Entry("thin", "the shortest are drawn wider than they were")


def _sign(pen: Pen, sign: str, x: float, y: float) -> Iterator[str]:
    rect = Rect(x=x, y=y + 1, width=SIGN, height=10)
    half = SIGN / 2
    left = Rect(x=x, y=y + 1, width=half, height=10)
    right = Rect(x=x + half, y=y + 1, width=half, height=10)
    yield f'<g class="{"trouble" if sign in ("cut", "late") else "plain"}">'
    match sign:
        case "box":
            yield pen.pale(rect, "plain")
        case "share":
            yield pen.pale(rect, "plain", dashed=True)
            strip = Rect(x=x, y=rect.bottom - 2.5, width=half, height=2.5)
            yield rectangle(strip, 1, f'class="line" fill="{pen.colours["plain"]}"')
        case "bar":
            yield pen.solid(rect, "plain")
        case "pale":
            yield pen.pale(rect, "plain")
        case "dot":
            yield pen.dot(x + half, y + 6, "plain")
        case "thin":
            yield pen.solid(Rect(x=x + half - 1, y=y + 1, width=2.4, height=10), "plain")
        case _:
            yield pen.solid(left, "trouble")
            yield pen.pale(right, "trouble", dashed=sign == "cut")
    yield "</g>"
