"""Where everything in a timeline is: the columns, the lanes, the axis and the legend, in pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sessionfsm.diagram.layout import Line, Rect
from sessionfsm.diagram.layout import Run as Words
from sessionfsm.diagram.layout_text import block
from sessionfsm.diagram.text_width import fits, text_width
from sessionfsm.diagram.words import shown

from .run import Run
from .timeline_cells import Cell, Scale, cells_of
from .timeline_lanes import Lane, lanes_of
from .timeline_time import tick_steps, tick_words, ticks
from .timeline_tips import at_words
from .times import length_of, moment_of
from .words import cut_off

__all__ = ["LABEL", "SMALL", "TITLE", "Panel", "Placed", "Sheet", "beside", "cut_to", "placed"]

TITLE, LABEL, SMALL = 17.0, 12.0, 10.5
"""Sizes of texts. On a page 830 pixels wide none is smaller than ten pixels."""
EDGE = 16.0
"""Free at each side."""
NAMES, TOTALS = 150.0, 170.0
"""The widest that the names at the left, and the totals at the right, may be."""
LEAST: dict[str, float] = {"stay": 3.0, "bar": 3.0, "dot": 8.0, "wait": 3.0, "tick": 3.0}
"""The least width of a mark, in pixels; the gap after it is part of that."""
WIDEST = 48.0
"""How wide a cell of gathered marks may be: there is room for its number, up to 9,999."""
HEIGHTS: dict[str, float] = {"stay": 22.0, "bar": 18.0, "dot": 18.0, "wait": 20.0, "tick": 18.0}
AXIS = 26.0
BETWEEN = 6.0
PADDING = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A lane, from *top* to *bottom*, with its cells, and its texts cut to the room for them."""

    lane: Lane
    top: float
    bottom: float
    cells: tuple[Cell, ...]
    name: str
    total: str

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Lanes that stand together."""

    rect: Rect
    lanes: tuple[Placed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """
    The whole picture.

    Attributes:
        width: In pixels.
        bottom: Where the legend begins.
        title: What is written above everything.
        notes: The lines under that.
        scale: The axis.
        ticks: Where it has marks, and what is written there.
        panels: From above.
        axis: The y of the axis.
    """

    width: float
    bottom: float
    title: str
    notes: tuple[Line, ...]
    scale: Scale
    ticks: tuple[tuple[float, str], ...]
    panels: tuple[Panel, ...]
    axis: float


def placed(run: Run, width: float) -> Sheet:
    """Return where everything is, in a picture of this width."""
    lanes = lanes_of(run)
    room = 0.24 * width
    names = [cut_to(lane.name, min(NAMES, room), LABEL) for lane in lanes]
    totals = [cut_to(lane.total, min(TOTALS, room), SMALL) for lane in lanes]
    left = EDGE + max((text_width(name, LABEL) for name in names), default=0.0) + 10
    right = width - EDGE - max((text_width(total, SMALL) for total in totals), default=0.0) - 12
    # A run that lasted no time still needs a stretch of axis to stand on, and more than the last bits of a number.
    shortest = max(0.001 if run.until_s > run.from_s else 1.0, abs(run.from_s) * 1e-12)
    until = max(run.until_s, run.from_s + shortest)
    scale = Scale(from_s=run.from_s, until_s=until, left=round(left, 1), right=round(right, 1))
    notes = block([([Words(_notes(run), "meaning")], ())], width - 2 * EDGE, indent=0.0)
    top = 38.0 + notes.height + 10
    panels: list[Panel] = []
    rows = zip(lanes, names, totals, strict=True)
    for _, members in itertools.groupby(rows, key=lambda row: row[0].panel):
        y = top + PADDING
        inside: list[Placed] = []
        for lane, name, total in members:
            height = HEIGHTS[lane.look]
            cells = tuple(cells_of(lane.marks, scale, least=LEAST[lane.look], widest=WIDEST))
            inside.append(Placed(lane=lane, top=y, bottom=y + height, cells=cells, name=name, total=total))
            y += height
        rect = Rect(x=scale.left - 4, y=top, width=scale.right - scale.left + 8, height=y + PADDING - top)
        panels.append(Panel(rect=rect, lanes=tuple(inside)))
        top = rect.bottom + BETWEEN
    axis = top - BETWEEN
    return Sheet(
        width=width,
        bottom=axis + AXIS,
        title=cut_to(f"Run of {shown(run.whose[:1000])}", width - 2 * EDGE, TITLE, bold=True),
        notes=notes.at(EDGE, 38.0),
        scale=scale,
        ticks=tuple(_ticks(scale, width)),
        panels=tuple(panels),
        axis=axis,
    )


def _notes(run: Run) -> str:
    """Return when it began, how much of it is here, and how it ends."""
    begin = (
        "from its start" if run.whole else f"from {at_words(run.from_s)} on" if run.from_s else "its start is not here"
    )
    state = cut_off(run.state, 60)
    match run.end:
        case "closed":
            end = f"closed in {state}"
        case "cut":
            end = f"goes on after that, from {state}"
        case "open":
            end = f"no end on record: in {state}"
        case "torn":
            end = f"torn off in the middle of a line: in {state}"
        case "broken_off":
            end = f"broken off in {state}: {cut_off(run.why)}"
    since = "began" if run.whole or run.from_s else "first record"
    parts = [
        f"{since} {moment_of(run.began_s)}",
        f"{length_of(run.until_s - run.from_s)}, {begin}",
        end,
        f"lifecycle: {cut_off(run.diagram.name, 60)}",
    ]
    return " · ".join(parts)


def _ticks(scale: Scale, width: float) -> Iterator[tuple[float, str]]:
    """Yield the marks of the finest axis whose words have room."""
    span, length = scale.until_s - scale.from_s, scale.right - scale.left
    for step in tick_steps(span * 40 / length):
        times = ticks(scale.from_s, scale.until_s, step)
        words = [tick_words(time, step) for time in times]
        widest = max((text_width(word, SMALL) for word in words), default=0.0)
        if widest + 14 <= length * step / span or len(times) < 2:
            break
    for time, word in zip(times, words, strict=True):
        x, half = scale.at(time), text_width(word, SMALL) / 2
        if x - half >= EDGE and x + half <= width - EDGE:
            yield x, word


def cut_to(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return *text* in one line, cut where it exceeds *room*."""
    line = shown(text[:1000])
    if text_width(line, size, bold=bold) <= room and len(text) <= 1000:
        return line
    return line[: fits(line, room - text_width("…", size, bold=bold), size, bold=bold)] + "…"


def beside(cells: Sequence[Cell], at: int, scale: Scale) -> float:
    """Return how much room there is after a cell, up to the next one."""
    return (cells[at + 1].left if at + 1 < len(cells) else scale.right + 4) - cells[at].right
