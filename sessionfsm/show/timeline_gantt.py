"""A run's timeline as a Mermaid gantt chart, which GitHub and many editors show as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from sessionfsm.diagram.layout import Kind
from sessionfsm.diagram.mermaid import plain

from .run import Run
from .timeline_cells import Cell, Scale, cells_of
from .timeline_lanes import Lane, lanes_of
from .timeline_time import TIMES
from .times import length_of, moment_of
from .words import cut_off

__all__ = ["MOST_TASKS", "timeline_mermaid"]

MOST_TASKS = 100
"""With more of them Mermaid is slow, and what it draws cannot be read."""
WIDTH = 800.0
"""About how wide Mermaid draws the axis, in pixels."""
LEAST = 4.0
"""How wide the narrowest task is, where there are few."""
LETTER = 7.0
"""About how wide it writes a letter. What has no room in its bar it writes over the next one."""
LONGEST_NAME = 30
"""Letters of the name of a section."""
NOTHING = "·"
"""A name that takes hardly any room: a task must have one."""

_UNITS = ((10, 1e-3, "%Q ms"), (600, 1.0, "%s s"), (36_000, 60.0, "%s min"), (2_160_000, 3600.0, "%s h"))
"""Up to which length a run is told in which unit. Mermaid counts milliseconds: a minute is written as 1,000 of them."""
_TAGS: dict[Kind, str] = {"happy": "active, ", "renewal": "", "trouble": "crit, ", "plain": "done, "}


def timeline_mermaid(run: Run) -> str:
    """
    Return the run's timeline as a Mermaid gantt chart: a section for each lane, but for the records.

    It has no more than a hundred tasks. What has no room, or would be too much, is gathered in one task that
    says how many it stands for; the title says that. Times are those of the run, in the unit at the axis; what is short
    is drawn longer, and its neighbours moved by as much.
    """
    length = run.until_s - run.from_s
    unit_s, axis = next(((unit, axis) for most, unit, axis in _UNITS if length < most), (86_400.0, "%s d"))
    scale = Scale(from_s=run.from_s, until_s=run.until_s if length > 0 else run.from_s + 1, left=0.0, right=WIDTH)
    lanes = [lane for lane in lanes_of(run) if lane.look != "tick" and lane.marks]
    rows = _rows(lanes, scale)
    names = [plain(cut_off(lane.what[1] if lane.trouble else lane.name, LONGEST_NAME)) for lane in lanes]
    padding = round(20 + LETTER * max(map(len, names), default=0))
    title = f"Run of {plain(cut_off(run.whose, 60))}, {moment_of(run.began_s)}, {length_of(length)}"
    if any(cell.marks > 1 for cells in rows for cell in cells):
        title += f" ({TIMES} n: several, gathered)"
    lines = [
        *("---", "displayMode: compact", "config:", "  gantt:", f"    leftPadding: {padding}", "---"),
        *("gantt", f"    title {title}"),
        *("    dateFormat x", f"    axisFormat {axis}", "    todayMarker off"),
    ]
    for name, cells in zip(names, rows, strict=True):
        lines.append(f"    section {name}")
        lines += _tasks(cells, scale, 1000 / unit_s if unit_s >= 1 else 1000.0)
    return "\n".join(lines) + "\n"


def _rows(lanes: list[Lane], scale: Scale) -> list[list[Cell]]:
    """Return the cells of each lane, as fine as so many tasks allow: the fullest lane is made coarser first."""
    least = [LEAST] * len(lanes)
    rows = [cells_of(lane.marks, scale, least=LEAST, widest=8 * LEAST) for lane in lanes]
    while sum(map(len, rows)) > MOST_TASKS:
        fullest = max(range(len(rows)), key=lambda at: len(rows[at]))
        least[fullest] *= 1.6
        rows[fullest] = cells_of(lanes[fullest].marks, scale, least=least[fullest], widest=8 * least[fullest])
    return rows


def _tasks(cells: list[Cell], scale: Scale, milliseconds: float) -> Iterator[str]:
    length = scale.until_s - scale.from_s
    for cell in cells:
        # Where it is drawn: so what is short can be seen, and is not pushed into a second row by its neighbour.
        first, last = (
            max(0, round((scale.from_s + edge / WIDTH * length) * milliseconds)) for edge in (cell.left, cell.right)
        )
        words = f"{TIMES} {cell.count}" if cell.count > 1 else length_of(cell.until_s - cell.from_s)
        room = cell.right - cell.left
        yield (
            f"        {words if len(words) * LETTER < room else NOTHING} "
            f":{_TAGS[cell.first.kind]}{first}, {max(first + 1, last)}"
        )
