"""
In which row each state is, and what is left of what.

A picture has rows of states and between them rows of labels. Each arrow is one vertical lane, at one place, through all
rows between its ends; a state's box is as wide as its lanes need, so that they reach it without a bend. All boxes and
lanes stand in one order from left to right: whatever the order, nothing can overlap, and there is always room. What the
order decides is how many lanes reach their box without crossing another. It is improved step by step, always the same
way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .layout_arrows import Bundle
from .model import Diagram

__all__ = ["Lane", "Plan", "plan_of"]

WORK = 500_000
"""Ends of lanes that are looked at, at most; an order that is tried costs as many as it has. It takes half a second."""

BENT, CROSSED, FAR, LEANING, TORN = 100, 30, 2, 1, 10**9
"""
What is bad in an order: a lane that does not reach its box straight, each lane that it crosses on its way there, each
element between a lane and its box, a lane on the side where it is not expected, the frame torn apart.
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """
    The vertical part of an arrow, through the rows from *first* to *last*; rows of states are even, of labels odd.

    Attributes:
        bundle: The arrow.
        upper: The state at the lane's upper end; empty for the frame.
        lower: The state at the lane's lower end; empty for the frame.
    """

    bundle: Bundle
    upper: str
    lower: str
    first: int
    last: int

    @property
    def downward(self) -> bool:
        return self.bundle.target == self.lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What is left of what.

    Attributes:
        rows: The row of each state, an even number.
        lanes: Every arrow between states of different rows.
        bridge: The arrow from the last state to the first, both in the uppermost row, if there is one.
        order: Every element from left to right: the name of a state, or the index of a lane.
        straight: For each state, the lanes that reach it without a bend.
    """

    rows: Mapping[str, int]
    lanes: tuple[Lane, ...]
    bridge: Bundle | None
    order: tuple[str | int, ...]
    straight: Mapping[str, tuple[int, ...]]


def _rows_of(diagram: Diagram, frame: Sequence[str], bundles: Sequence[Bundle]) -> dict[str, int]:
    """
    Return the row of each state: time flows downward, and what goes back goes up.

    The initial state is in the uppermost row, and beside it the state by which sessions end, if there is one; then what
    leads to the frame, the frame, and what it leads to. Arcs into the initial state begin a new life and do not count.
    """
    names = [box.name for box in diagram.boxes]
    follow: dict[str, list[str]] = {name: [] for name in names}
    for arc in diagram.arcs:
        if arc.target != arc.source and (arc.target != diagram.initial or diagram.initial in frame):
            follow[arc.source].append(arc.target)
    end = _end_of(diagram, frame, bundles)
    levels: list[list[str]] = []
    if diagram.initial not in frame:
        levels.append([diagram.initial, *([end] if end else [])])
    rest = [name for name in _reached(follow, [diagram.initial, *names]) if not levels or name not in levels[0]]
    behind = set(_reached(follow, frame))
    groups = [
        [name for name in rest if name not in behind],
        [name for name in rest if name in frame],
        [name for name in rest if name in behind and name not in frame],
    ]
    for group in groups:
        depth = _depths(group, follow)
        levels += [
            [name for name in group if depth[name] == level] for level in range(1 + max(depth.values(), default=-1))
        ]
    return {name: 2 * number for number, level in enumerate(levels) for name in level}


def _end_of(diagram: Diagram, frame: Sequence[str], bundles: Sequence[Bundle]) -> str:
    """Return the state from which the initial one is all that follows, and to which most arrows lead; or nothing."""
    if diagram.initial in frame:
        return ""
    entered = {
        box.name: sum(bundle.target == box.name for bundle in bundles)
        for box in diagram.boxes
        if box.name not in (diagram.initial, *frame)
        and {bundle.target for bundle in bundles if bundle.source == box.name} == {diagram.initial}
        and sum(bundle.source == box.name for bundle in bundles) == 1
        and not any(bundle.source == diagram.initial and bundle.target == box.name for bundle in bundles)
    }
    return max(entered, key=lambda name: entered[name]) if entered else ""


def _reached(follow: Mapping[str, Sequence[str]], roots: Sequence[str]) -> list[str]:
    """Return the states that are reached from *roots*, in the order in which they are found, depth first."""
    found: dict[str, None] = {}
    waiting = list(reversed(roots))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += reversed(follow[name])
    return list(found)


def _depths(group: Sequence[str], follow: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the length of the longest way to each state of *group* within it, ways back left out."""
    members = set(group)
    ahead = {name: iter(dict.fromkeys(target for target in follow[name] if target in members)) for name in group}
    done: dict[str, None] = {}
    back: set[tuple[str, str]] = set()
    for root in group:
        above = {} if root in done else {root: None}  # the way down to where we are
        while above:
            name = next(reversed(above))
            target = next(ahead[name], None)
            if target is None:
                done[name] = None
                del above[name]
            elif target in above:
                back.add((name, target))
            elif target not in done:
                above[target] = None
    depth = dict.fromkeys(group, 0)
    for name in reversed(done):
        for target in follow[name]:
            if target in depth and (name, target) not in back:
                depth[target] = max(depth[target], depth[name] + 1)
    return depth


def plan_of(diagram: Diagram, frame: Sequence[str], bundles: Sequence[Bundle]) -> Plan:
    """Return the best order that is found within :data:`WORK`."""
    rows = _rows_of(diagram, frame, bundles)
    framed = [rows[name] for name in frame]
    lanes: list[Lane] = []
    bridge = None
    for bundle in bundles:
        target = rows[bundle.target]
        # A way out of the frame begins at its upper or its lower edge.
        source = rows[bundle.source] if bundle.source else (min(framed) if target < min(framed) else max(framed))
        if bundle.source == bundle.target:
            continue
        if source == target:
            bridge = bundle
        elif source < target:
            lanes.append(Lane(bundle, bundle.source, bundle.target, source + 1, target - 1))
        else:
            lanes.append(Lane(bundle, bundle.target, bundle.source, target + 1, source - 1))
    search = _Search(diagram, frame, rows, tuple(lanes))
    order = search.best()
    return Plan(
        rows=rows,
        lanes=tuple(lanes),
        bridge=bridge,
        order=tuple(order),
        straight={name: tuple(search.straight(order, name)) for name in rows},
    )


class _Search:
    """Looks for an order. Elements are numbered, lanes first; sets of them are bits of an integer."""

    def __init__(
        self, diagram: Diagram, frame: Sequence[str], rows: Mapping[str, int], lanes: tuple[Lane, ...]
    ) -> None:
        self._lanes = lanes
        self._names = list(rows)
        self._elements: list[str | int] = [*range(len(lanes)), *self._names]
        self._number = {element: number for number, element in enumerate(self._elements)}
        self._attached: list[tuple[int, int, int]] = []  # a lane, its box, and what must not be between them
        for name in self._names:
            own = [number for number, lane in enumerate(lanes) if name in (lane.upper, lane.lower)]
            row = rows[name]
            foreign = 0
            for other in self._names:
                if other != name and rows[other] == row:
                    foreign |= 1 << self._number[other]
            for number, lane in enumerate(lanes):
                at_row = lane.first <= row <= lane.last or any(
                    end and rows[end] == row for end in (lane.upper, lane.lower)
                )
                if at_row and number not in own:
                    foreign |= 1 << number
            self._attached += [(number, self._number[name], foreign) for number in own]
        self._inside, self._outside = self._torn(frame, rows)
        ends = [self._number[name] for name in self._names if rows[name] == 0]
        self._first = (self._number[diagram.initial], ends) if rows[diagram.initial] == 0 and len(ends) == 2 else None
        self._lean = [self._leaning(lane) for lane in lanes]
        self._start = self._beginning(rows)

    def _torn(self, frame: Sequence[str], rows: Mapping[str, int]) -> tuple[int, int]:
        """Return what has to stand together because it is in the frame, and what passes by the frame."""
        if not frame:
            return 0, 0
        top, bottom = min(rows[name] for name in frame), max(rows[name] for name in frame)
        inside = sum(1 << self._number[name] for name in frame)
        outside = 0
        for number, lane in enumerate(self._lanes):
            if lane.upper in ("", *frame) or lane.lower in ("", *frame):
                inside |= 1 << number
            elif lane.first < bottom and lane.last > top:
                outside |= 1 << number
        return inside, outside

    @staticmethod
    def _leaning(lane: Lane) -> int:
        """Return where a lane is expected: what goes on at the left, what goes back at the right, trouble beyond."""
        kind = lane.bundle.kind
        if kind == "trouble":
            return 2
        return -1 if lane.downward and kind in ("happy", "renewal") else 1

    def _beginning(self, rows: Mapping[str, int]) -> list[int]:
        """
        Return the order to begin with: states down the middle, and each lane beside its upper end.

        The frame is whole in it, and no step forward is one that tears it.
        """
        order = [self._number[name] for name in sorted(self._names, key=lambda name: (rows[name], self._number[name]))]
        for number, lane in enumerate(self._lanes):
            near = order.index(self._number[lane.upper or lane.lower]) + (self._lean[number] > 0)
            order.insert(0 if self._outside >> number & 1 else near, number)
        return order

    def best(self) -> list[str | int]:
        order, cost = self._start, self._cost(self._start)
        left = WORK // (1 + len(self._attached))
        improved = True
        while improved and left > 0:
            improved = False
            for element in range(len(order)):
                for candidate in itertools.islice(_moved(order, element), left):
                    left -= 1
                    if (found := self._cost(candidate)) < cost:
                        order, cost, improved = candidate, found, True
        return [self._elements[number] for number in order]

    def straight(self, order: Sequence[str | int], name: str) -> Iterator[int]:
        """Yield the lanes that reach a state without a bend."""
        upto, place = self._places([self._number[element] for element in order])
        for lane, box, foreign in self._attached:
            if box == self._number[name] and not _between(upto, place[lane], place[box]) & foreign:
                yield lane

    @staticmethod
    def _places(order: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return, for each place, the set of the elements before it; and for each element its place."""
        upto, place = [0], [0] * len(order)
        for position, number in enumerate(order):
            place[number] = position
            upto.append(upto[-1] | 1 << number)
        return upto, place

    def _cost(self, order: Sequence[int]) -> int:
        upto, place = self._places(order)
        cost = 0
        for lane, box, foreign in self._attached:
            between = _between(upto, place[lane], place[box])
            cost += FAR * between.bit_count()
            if blocked := (between & foreign).bit_count():
                cost += BENT + CROSSED * blocked
        for lane, lean in enumerate(self._lean):
            cost += LEANING * (lean * (len(order) - place[lane]) if lean > 0 else place[lane])
        if self._outside:
            places = [place[number] for number in range(len(order)) if self._inside >> number & 1]
            inner = upto[max(places)] & ~upto[min(places)]
            cost += TORN * (inner & self._outside).bit_count()
        if self._first and any(place[self._first[0]] > place[other] for other in self._first[1]):
            cost += TORN
        return cost


def _between(upto: Sequence[int], one: int, other: int) -> int:
    return upto[other] & ~upto[one + 1] if one < other else upto[one] & ~upto[other + 1]


def _moved(order: Sequence[int], element: int) -> Iterator[list[int]]:
    rest = [number for number in order if number != element]
    for position in range(len(order)):
        if order[position] != element:
            yield [*rest[:position], element, *rest[position:]]
