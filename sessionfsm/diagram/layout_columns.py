"""
Where everything in a picture is from left to right, and in which row each label.

The order of a plan says what is left of what; that makes constraints of the form *b is this much to the right of a*,
and none of them can contradict another. Whatever the labels are, there is a solution without an overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .layout_order import Plan
from .layout_text import Block

__all__ = ["BESIDE", "ENTRY", "FRAME", "GAP", "MARGIN", "PAD", "Columns", "Span"]

MARGIN = 24.0
"""Around the picture."""
PAD = 16.0
"""Inside a box, and between a box's edge and a lane that reaches it."""
GAP = 18.0
"""Between a label or a lane and what is right of it."""
BESIDE = 8.0
"""Between a lane and its label."""
PORT = 14.0
"""Between two lanes that reach a box with a bend."""
FRAME = 20.0
"""Between the frame and what is in it."""
ENTRY = 40.0
"""The length of the arrow into the initial state."""
NEARLY = 32.0
"""How far a box is widened, so that its edge is in line with others."""
WORK = 120_000
"""Constraints that are looked at while labels look for their rows, at most."""

Variable = tuple[str, str | int]
Constraint = tuple[Variable, Variable, float]
"""The second is this much greater than the first, or more."""

BEGIN, END, FRAME_LEFT, FRAME_RIGHT = ("begin", 0), ("end", 0), ("frame", 0), ("frame", 1)


@dataclass(frozen=True, slots=True)
class Span:
    """From left to right."""

    left: float
    right: float

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class _Item:
    """What is in a row: a box has two variables, and a lane has one; *before* is needed left of a box."""

    first: Variable
    last: Variable
    before: float
    inside: bool


class Columns:
    """
    Everything from left to right.

    Args:
        plan: The order.
        frame: The names of the states in the frame.
        initial: The state that an arrow without a source leads to.
        labels: What is written at each lane.
        contents: The narrowest that each state's box can be for its text, in pixels.
        bridge: The width of the label between the two uppermost states.
        title: The room for the frame's title at its upper left corner.

    Attributes:
        label_rows: The row of each lane's label.
        lanes: The x of each lane.
        spans: Each state's box.
        bent: For each state, the lanes that reach it from the left and from the right with a bend, the farthest first.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        frame: Sequence[str],
        initial: str,
        labels: Sequence[Block],
        contents: Mapping[str, float],
        bridge: float,
        title: float,
    ) -> None:
        self._plan = plan
        self._frame = frozenset(frame)
        self._framed = [plan.rows[name] for name in frame]
        self._labels = labels
        self._bridge = bridge
        self._title = title
        self._beyond = [BESIDE + label.width if label.width else 0.0 for label in labels]
        self.bent = {name: self._bends(name) for name in plan.rows}
        self._wanted = {
            name: max(contents[name], 2 * PAD + PORT * sum(map(len, self.bent[name]))) for name in plan.rows
        }
        self._items = self._rows(initial)
        self._covered = {name: self._covers(name) for name in plan.rows}
        self._fixed = list(self._constraints())
        self.label_rows = self._spread()
        where = _settled([*self._fixed, *self._row_constraints()])
        self.lanes = [where["lane", number] for number in range(len(plan.lanes))]
        self.spans = {name: self._span(name, where) for name in plan.rows}
        self._align(frame, initial)

    def inside(self, lane: int) -> bool:
        """Return whether a lane belongs to a state in the frame."""
        return bool({self._plan.lanes[lane].upper, self._plan.lanes[lane].lower} & self._frame)

    def enters(self, lane: int) -> bool:
        """Return whether a lane goes through the upper edge of the frame."""
        first, last = self._plan.lanes[lane].first, self._plan.lanes[lane].last
        return self.inside(lane) and first < min(self._framed) <= last + 1

    def port(self, name: str, lane: int) -> float:
        """Return where a lane with a bend reaches its box: the farthest lane is nearest to the edge."""
        before, after = self.bent[name]
        if lane in before:
            return self.spans[name].left + PAD + PORT * before.index(lane)
        return self.spans[name].right - PAD - PORT * after.index(lane)

    def label_end(self, lane: int) -> float:
        """Return the right edge of a lane's label."""
        return self.lanes[lane] + self._beyond[lane]

    def _bends(self, name: str) -> tuple[list[int], list[int]]:
        plan = self._plan
        place = {element: position for position, element in enumerate(plan.order)}
        lanes = [
            number
            for number, lane in enumerate(plan.lanes)
            if name in (lane.upper, lane.lower) and number not in plan.straight[name]
        ]
        lanes.sort(key=lambda number: place[number])
        before = [number for number in lanes if place[number] < place[name]]
        return before, [number for number in reversed(lanes) if place[number] > place[name]]

    def _rows(self, initial: str) -> dict[int, list[_Item]]:
        """Return what is in each row, from left to right."""
        rows: dict[int, list[_Item]] = {row: [] for row in range(max(self._plan.rows.values()) + 1)}
        for element in self._plan.order:
            if isinstance(element, str):
                before = ENTRY if element == initial else 0.0
                item = _Item(("left", element), ("right", element), before, element in self._frame)
                rows[self._plan.rows[element]].append(item)
            else:
                lane = self._plan.lanes[element]
                item = _Item(("lane", element), ("lane", element), 0.0, self.inside(element))
                for row in range(lane.first, lane.last + 1):
                    rows[row].append(item)
        return rows

    def _covers(self, name: str) -> tuple[int, ...]:
        """Return the lanes whose labels a box covers, too: those of the last box in its row."""
        last = self._items[self._plan.rows[name]][-1].last
        return self._plan.straight[name] if last == ("right", name) else ()

    def _constraints(self) -> Iterator[Constraint]:
        """Yield what has to hold wherever the labels are."""
        plan = self._plan
        for name in plan.rows:
            left, right = ("left", name), ("right", name)
            before, after = self.bent[name]
            yield left, right, self._wanted[name]
            for number in plan.straight[name]:
                yield left, ("lane", number), PAD + PORT * len(before)
                yield ("lane", number), right, PAD + PORT * len(after)
            for number in self._covered[name]:
                yield ("lane", number), right, self._beyond[number]
        if self._frame:
            yield BEGIN, FRAME_LEFT, 0.0
            yield FRAME_RIGHT, END, 0.0
            for number, lane in enumerate(plan.lanes):
                if "" in (lane.upper, lane.lower):
                    yield FRAME_LEFT, ("lane", number), PAD
                    yield ("lane", number), FRAME_RIGHT, PAD
                elif self.enters(number):
                    yield FRAME_LEFT, ("lane", number), self._title
        if plan.bridge:
            ends = [name for name in plan.order if name in (plan.bridge.source, plan.bridge.target)]
            yield ("right", ends[0]), ("left", ends[1]), self._bridge + 2 * GAP

    def _row_constraints(self) -> Iterator[Constraint]:
        """Yield what has to hold in each row."""
        for row, items in self._items.items():
            in_frame = bool(self._framed) and min(self._framed) <= row <= max(self._framed)
            ends = [self._extent(item, row) for item in items]
            for item, beyond in zip(items, ends, strict=True):
                yield BEGIN, item.first, item.before
                yield item.last, END, beyond
                if in_frame and item.inside:
                    yield FRAME_LEFT, item.first, FRAME + item.before
                    yield item.last, FRAME_RIGHT, FRAME + beyond
            for one, other, beyond in zip(items, items[1:], ends, strict=False):
                boxes = one.last[0] == "right" and other.first[0] == "left"
                yield one.last, other.first, beyond + GAP + other.before + (2 * PAD if boxes else 0.0)
                if in_frame and one.inside and not other.inside:
                    yield FRAME_RIGHT, other.first, GAP
                if in_frame and other.inside and not one.inside:
                    yield one.last, FRAME_LEFT, GAP + beyond

    def _extent(self, item: _Item, row: int) -> float:
        kind, element = item.last
        if kind != "lane" or not isinstance(element, int) or self.label_rows[element] != row:
            return 0.0
        return self._beyond[element]

    def _spread(self) -> list[int]:
        """Return the row of each lane's label: where there is most room, then so that the picture becomes narrow."""
        lanes = self._plan.lanes
        choices = [range(lane.first, lane.last + 1, 2) for lane in lanes]
        self.label_rows = [lane.first for lane in lanes]
        load: dict[int, float] = {}
        for number in sorted(range(len(lanes)), key=lambda each: len(choices[each])):
            row = min(choices[number], key=lambda row: load.get(row, 0.0))
            load[row] = load.get(row, 0.0) + self._beyond[number] + GAP
            self.label_rows[number] = row
        best = self._size()
        tries = WORK // (len(self._fixed) + sum(map(len, self._items.values())) + 1)
        for number, row in [(number, row) for number, rows in enumerate(choices) for row in rows][:tries] * 2:
            before = self.label_rows[number]
            if row == before or not self._labels[number].lines:
                continue
            self.label_rows[number] = row
            if (size := self._size()) < best:
                best = size
            else:
                self.label_rows[number] = before
        return self.label_rows

    def _size(self) -> float:
        """Return how large the picture is: height counts half."""
        heights: dict[int, float] = {}
        for row, label in zip(self.label_rows, self._labels, strict=True):
            heights[row] = max(heights.get(row, 0.0), label.height)
        return max(_pushed([*self._fixed, *self._row_constraints()]).values()) + sum(heights.values()) / 2

    def _span(self, name: str, where: Mapping[Variable, float]) -> Span:
        """Return a box: as wide as its lanes and its text need, within the room that it has."""
        left, right, wanted = where["left", name], where["right", name], self._wanted[name]
        own = [self.lanes[lane] for lane in self._plan.straight[name]] or [(left + right) / 2]
        before, after = self.bent[name]
        first = min(own) - PAD - PORT * len(before)
        last = max([max(own) + PAD + PORT * len(after), *map(self.label_end, self._covered[name])])
        if (lacking := wanted - (last - first)) > 0:
            first = min(max(left, first - lacking / 2), right - wanted)
            last = first + wanted
        return Span(first, last)

    def _align(self, frame: Sequence[str], initial: str) -> None:
        """Let boxes in the frame end where others do, if they nearly do and nothing is between them and the frame."""
        names = [name for name in frame if name != initial]
        left = min((self.spans[name].left for name in names), default=0.0)
        right = max((self.spans[name].right for name in names), default=0.0)
        for name in names:
            row = [item for item in self._items[self._plan.rows[name]] if item.inside]
            span = self.spans[name]
            first = left if row[0].first == ("left", name) and span.left - left <= NEARLY else span.left
            last = right if row[-1].last == ("right", name) and right - span.right <= NEARLY else span.right
            self.spans[name] = Span(first, last)


def _settled(constraints: Sequence[Constraint]) -> dict[Variable, float]:
    """
    Return a value for each variable: the middle between the leftmost and the rightmost that the constraints allow.

    Both satisfy them, and so does what lies in the middle.
    """
    leftmost = _pushed(constraints)
    end = max(leftmost.values())
    rightmost = {name: end - value for name, value in _pushed([(b, a, gap) for a, b, gap in constraints]).items()}
    return {name: MARGIN + (leftmost[name] + rightmost[name]) / 2 for name in leftmost}


def _pushed(constraints: Sequence[Constraint]) -> dict[Variable, float]:
    """Return the smallest values, none below 0."""
    value = {name: 0.0 for one, other, _ in constraints for name in (one, other)}
    after: dict[Variable, list[tuple[Variable, float]]] = {name: [] for name in value}
    waiting_for = dict.fromkeys(value, 0)
    for one, other, gap in constraints:
        after[one].append((other, gap))
        waiting_for[other] += 1
    ready = [name for name, count in waiting_for.items() if not count]
    for one in ready:
        for other, gap in after[one]:
            value[other] = max(value[other], value[one] + gap)
            waiting_for[other] -= 1
            if not waiting_for[other]:
                ready.append(other)
    assert len(ready) == len(value), "the constraints of a picture go round in a circle"
    return value
