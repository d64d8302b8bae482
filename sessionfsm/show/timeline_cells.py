"""Which marks of a lane are drawn by themselves, and which are gathered because there is no room for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .timeline_lanes import Mark

__all__ = ["Cell", "Scale", "cells_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where a time is on the axis: *from_s* at *left*, *until_s* at *right*. What lies beyond is at its end."""

    from_s: float
    until_s: float
    left: float
    right: float

    def at(self, time_s: float) -> float:
        part = (time_s - self.from_s) / (self.until_s - self.from_s)
        return self.left if part <= 0 else self.right if part >= 1 else self.left + (self.right - self.left) * part


@dataclass(slots=True)
class Cell:
    """
    One mark, or several that are gathered, with the room that it has.

    Attributes:
        left: Where it begins, in the unit of the scale.
        right: Where it ends; at least the least width after its beginning, however short it was.
        first: The mark, or the first of several.
        from_s: When the first of them began.
        until_s: When the last of them ended.
        marks: How many there are.
        count: How many these stand for.
        held_s: How long they took, in sum.
        narrow: Whether each of them is narrower than the least width.
    """

    left: float
    right: float
    first: Mark
    from_s: float
    until_s: float
    marks: int
    count: int
    held_s: float
    narrow: bool

    def add(self, mark: Mark, right: float, narrow: bool) -> None:
        if right > self.right:
            self.right = right
        if mark.until_s > self.until_s:
            self.until_s = mark.until_s
        self.marks += 1
        self.count += mark.count
        self.held_s += mark.until_s - mark.from_s
        self.narrow = self.narrow and narrow


def cells_of(marks: Iterable[Mark], scale: Scale, *, least: float, widest: float) -> list[Cell]:
    """
    Return cells side by side that none of *marks* is missing in.

    A mark narrower than *least* is given that width. Where the next one has no room then, the two are gathered, and so
    on until the cell is *widest* or something longer follows; marks that happen at the same time are gathered always.
    A cell is moved by its neighbour, or by the end of the axis, by less than twice *least*: so much is what a place on
    the axis is exact to.

    Args:
        marks: In the order of their beginnings.
        least: The least width, in the unit of the scale.
        widest: How wide a cell of narrow marks may become.
    """
    cells: list[Cell] = []
    for mark in marks:
        left, end = scale.at(mark.from_s), scale.at(mark.until_s)
        narrow = end - left < least
        if narrow and left + least > scale.right:
            left = _at_the_end(cells, left, scale.right - least)
        if cells and left < cells[-1].right:
            cell = cells[-1]
            overlap = cell.right - left
            if narrow:
                joins = cell.right - cell.left < widest if cell.narrow else overlap > least / 4
            else:
                joins = overlap > 2 * least or end - cell.right < least
            if joins:
                cell.add(mark, max(end, left + least), narrow)
                continue
            left = cell.right
        held = mark.until_s - mark.from_s
        cells.append(Cell(left, max(end, left + least), mark, mark.from_s, mark.until_s, 1, mark.count, held, narrow))
    return cells


def _at_the_end(cells: list[Cell], left: float, wanted: float) -> float:
    """Return where a narrow mark at the end of the axis begins: before that end, if need be at its neighbour's cost."""
    if cells and not cells[-1].narrow and left >= cells[-1].right and wanted - cells[-1].left >= left - wanted:
        cells[-1].right = min(cells[-1].right, wanted)
    return wanted
