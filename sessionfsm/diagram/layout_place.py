"""Coordinates: a plan (``layout_order.py``) and the sizes of its texts become rectangles and paths."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from .layout import Arrow, Layout, Loop, Placed, Point, Rect, Run
from .layout_arrows import Bundle, bundles_of, frame_of, kind_of_state
from .layout_columns import BESIDE, ENTRY, FRAME, GAP, MARGIN, PAD, Columns
from .layout_order import plan_of
from .layout_text import Block, block, label_of, measure, summary_of
from .model import Box, Diagram
from .terms import Detail
from .words import shown, told

__all__ = ["layout_of"]

CHANNEL = 18.0
"""Between a row of states and a row of labels."""
STUB, TRACK = 8.0, 10.0
"""Between a box and the nearest bend of a lane that reaches it, and from there to the next one."""
HEADROOM = 30.0
"""Between the frame's upper edge and the states: its title is there."""
INSET = 10.0
"""Between a box's edge and its text, above and below; between two lines of loops."""
LOOPS = 470.0
"""The width that loops may take before a new line is begun, unless the box is wider for other reasons."""
ICON = 20.0
"""The width of the sign of a loop."""
LONGEST_NAME, LONGEST_MEANING = 260.0, 190.0
"""The width to which a box grows for its name and its meaning before they are broken."""
TITLE = "live"


def layout_of(diagram: Diagram, *, detail: Detail = "full") -> Layout:
    """
    Return where everything is.

    The picture of a table as large as the default one is some 900 pixels wide. Beyond some ten states and thirty arcs
    it stays free of overlaps, and becomes large.
    """
    return _Placing(diagram, detail).layout()


class _Placing:
    """The picture of one diagram. Rows of states are even, rows of labels odd."""

    def __init__(self, diagram: Diagram, detail: Detail) -> None:
        self._diagram = diagram
        self._full = detail == "full"
        self._frame = frame_of(diagram)
        bundles = bundles_of(diagram, self._frame, detail)
        self._plan = plan_of(diagram, self._frame, bundles)
        self._loops = {
            name: [
                (each, label_of(each) if self._full else block([]))
                for each in bundles
                if each.source == each.target == name
            ]
            for name in self._plan.rows
        }
        self._labels = [self._label(lane.bundle) for lane in self._plan.lanes]
        self._bridge_label = self._label(self._plan.bridge) if self._plan.bridge else block([])
        self._title = block([([Run(TITLE, "meaning")], ())])
        self._title_room = self._title.width + 2 * BESIDE + GAP
        self._columns = Columns(
            self._plan,
            frame=self._frame,
            initial=diagram.initial,
            labels=self._labels,
            contents={box.name: self._content_width(box) for box in diagram.boxes},
            bridge=self._bridge_label.width,
            title=self._title_room,
        )
        self._heads = {box.name: self._head(box) for box in diagram.boxes}
        self._tracks: dict[tuple[str, int], float] = {}  # how far from its box a lane bends, by state and lane
        self._top: dict[int, float] = {}
        self._bottom: dict[int, float] = {}
        self._stack()
        self._rects = {box.name: self._rect(box.name) for box in diagram.boxes}
        self._frame_rect = self._framing()

    def layout(self) -> Layout:
        frame, initial = self._frame_rect, self._rects[self._diagram.initial]
        placed = tuple(map(self._placed, self._diagram.boxes))
        arrows = list(map(self._arrow, range(len(self._plan.lanes))))
        ends = [
            *self._rects.values(),
            *([frame] if frame else []),
            *(line.rect for each in arrows for line in each.label),
        ]
        if self._plan.bridge:
            arrows.append(self._bridge(self._plan.bridge))
        right, bottom = max(rect.right for rect in ends), max(rect.bottom for rect in ends)
        notes = list(self._title.at(frame.x + INSET, frame.y + 6)) if frame else []
        if self._full:
            legend = _legend(run=bool(self._diagram.now))
            notes += legend.at(MARGIN, bottom + MARGIN)
            right, bottom = max(right, MARGIN + legend.width), bottom + MARGIN + legend.height
        middle = initial.y + initial.height / 2
        return Layout(
            width=round(right + MARGIN),
            height=round(bottom + MARGIN),
            boxes=placed,
            arrows=tuple(arrows),
            frame=frame,
            framed=tuple(self._frame),
            entry=((initial.x - ENTRY + BESIDE, middle), (initial.x, middle)),
            notes=tuple(notes),
        )

    # Texts.

    def _label(self, bundle: Bundle) -> Block:
        return label_of(bundle) if self._full else summary_of(bundle)

    def _content_width(self, box: Box) -> float:
        """Return the narrowest that a box can be for its text."""
        name = min(measure([Run(shown(box.name), "name")]), LONGEST_NAME)
        loops = [ICON + text.width for _, text in self._loops[box.name]]
        if not self._full:
            below = measure([Run(self._below(box), "meaning")]) if box.share is not None else 0.0
            return 2 * PAD + max(name + sum(loops), min(below, LONGEST_MEANING))
        meaning = min(measure([Run(self._below(box), "meaning")]), LONGEST_MEANING)
        return 2 * PAD + max(name, meaning, *(_width(loops, line) for line in _flowed(loops, LOOPS)), 0.0)

    def _head(self, box: Box) -> Block:
        """Return the name, and the meaning beside it if there is room, else below."""
        room = self._columns.spans[box.name].width - 2 * PAD
        name = block([([Run(shown(box.name), "name")], ())], room, indent=0.0)
        if box.share is None and not (self._full and box.meaning):
            return name
        run = Run(self._below(box), "meaning")
        width = measure([run])
        if len(name.lines) == 1 and name.width + GAP + width <= room:
            meaning = block([([run], ())], width)
            down = name.lines[0].baseline - meaning.lines[0].baseline
            return Block(
                width=name.width + GAP + width,
                height=name.height,
                lines=(*name.lines, *meaning.at(name.width + GAP, down)),
            )
        meaning = block([([run], ())], room, indent=0.0)
        return Block(
            width=max(name.width, meaning.width),
            height=name.height + meaning.height,
            lines=(*name.lines, *meaning.at(0, name.height)),
        )

    def _below(self, box: Box) -> str:
        """Return what stands below a state's name."""
        return shown(told(self._diagram, box) or box.meaning)

    def _loop_lines(self, name: str) -> list[list[tuple[Bundle, Block]]]:
        room = self._columns.spans[name].width - 2 * PAD + 0.5
        loops = self._loops[name]
        return [[loops[each] for each in line] for line in _flowed([ICON + text.width for _, text in loops], room)]

    # From top to bottom.

    def _box_height(self, name: str) -> float:
        height = 2 * INSET + self._heads[name].height
        if self._full and self._loops[name]:
            height += 4 + sum(INSET + max(text.height for _, text in line) for line in self._loop_lines(name))
        return height

    def _stack(self) -> None:
        """Set the top and the bottom of each row, and the track of each bend."""
        rows = self._plan.rows
        y = MARGIN + max(0.0, self._bridge_label.height - 2 * INSET)
        for row in range(max(rows.values()) + 1):
            if row % 2:
                heights = [
                    label.height for label, at in zip(self._labels, self._columns.label_rows, strict=True) if at == row
                ]
                self._top[row] = y
                y += max(14.0, *heights, 0.0)
                self._bottom[row] = y
                continue
            y += (CHANNEL if row else 0.0) + self._lay_tracks(row, upper=False)
            if self._frame and row == self._first_framed:
                y += HEADROOM + (CHANNEL if row else 0.0)
            self._top[row] = y
            y += max(self._box_height(name) for name in rows if rows[name] == row)
            self._bottom[row] = y
            y += CHANNEL + self._lay_tracks(row, upper=True)
            if self._frame and row == self._last_framed:
                y += FRAME

    @property
    def _first_framed(self) -> int:
        return min(self._plan.rows[name] for name in self._frame)

    @property
    def _last_framed(self) -> int:
        return max(self._plan.rows[name] for name in self._frame)

    def _lay_tracks(self, row: int, *, upper: bool) -> float:
        """Give each bend below (*upper* is the lane's end there) or above a row a track; return the room they take."""
        bends = []
        for name in (name for name, at in self._plan.rows.items() if at == row):
            for number in itertools.chain.from_iterable(self._columns.bent[name]):
                if (self._plan.lanes[number].upper == name) == upper:
                    x, port = self._columns.lanes[number], self._columns.port(name, number)
                    bends.append((-abs(x - port), name, number, min(x, port), max(x, port)))
        taken: list[list[tuple[float, float]]] = []
        for _, name, number, left, right in sorted(bends):
            free = (
                index
                for index, track in enumerate(taken)
                if all(right + TRACK < one or other < left - TRACK for one, other in track)
            )
            index = next(free, len(taken))
            if index == len(taken):
                taken.append([])
            taken[index].append((left, right))
            self._tracks[name, number] = STUB + TRACK * (index + 1)
        return STUB + TRACK * len(taken) if taken else 0.0

    def _deepest(self, row: int, *, upper: bool) -> float:
        """Return how far the bends below or above a row of states reach."""
        found = (
            distance
            for (name, number), distance in self._tracks.items()
            if self._plan.rows[name] == row and (self._plan.lanes[number].upper == name) == upper
        )
        return max(found, default=0.0)

    def _rect(self, name: str) -> Rect:
        row, span, height = self._plan.rows[name], self._columns.spans[name], self._box_height(name)
        top = self._top[row] + (self._bottom[row] - self._top[row] - height) / 2
        return Rect(x=span.left, y=top, width=span.width, height=height)

    def _framing(self) -> Rect | None:
        """Return the frame: around its states, the lanes and labels between them, and the ends of the ways out."""
        if not self._frame:
            return None
        first, last = self._first_framed, self._last_framed
        lefts = [self._rects[name].x - (ENTRY if name == self._diagram.initial else 0.0) for name in self._frame]
        rights = [self._rects[name].right for name in self._frame]
        for number, lane in enumerate(self._plan.lanes):
            x, at = self._columns.lanes[number], self._columns.label_rows[number]
            if "" in (lane.upper, lane.lower) or (
                self._columns.inside(number) and lane.first < last and lane.last > first
            ):
                lefts.append(x)
                rights.append(self._columns.label_end(number) if first < at < last else x)
            if self._columns.enters(number):
                lefts.append(x - self._title_room + FRAME)
        left, top = min(lefts) - FRAME, self._top[first] - HEADROOM - self._deepest(first, upper=False)
        bottom = self._bottom[last] + FRAME + self._deepest(last, upper=True)
        return Rect(x=left, y=top, width=max(rights) + FRAME - left, height=bottom - top)

    # The parts.

    def _placed(self, box: Box) -> Placed:
        rect, head = self._rects[box.name], self._heads[box.name]
        loops = []
        y = rect.y + INSET + head.height
        for line in self._loop_lines(box.name):
            y += INSET
            x = rect.x + PAD
            for bundle, text in line:
                label = text.at(x + ICON, y)
                icon = (x + 6, label[0].baseline - 4) if label else (rect.right - x + rect.x, rect.y + rect.height / 2)
                loops.append(
                    Loop(
                        arcs=bundle.arcs,
                        kind=bundle.kind,
                        taken=bundle.taken,
                        reason=bundle.reason,
                        icon=icon,
                        label=label,
                    )
                )
                x += ICON + text.width + (GAP if label else 0.0)
            y += max(text.height for _, text in line)
        return Placed(
            box=box,
            kind=kind_of_state(self._diagram, box.name),
            rect=rect,
            lines=head.at(rect.x + PAD, rect.y + INSET),
            loops=tuple(loops),
        )

    def _arrow(self, number: int) -> Arrow:
        lane, x = self._plan.lanes[number], self._columns.lanes[number]
        points = [
            *self._end(lane.upper, number, upper=True),
            *reversed(list(self._end(lane.lower, number, upper=False))),
        ]
        row, text = self._columns.label_rows[number], self._labels[number]
        middle = (self._top[row] + self._bottom[row] - text.height) / 2
        return Arrow(
            arcs=lane.bundle.arcs,
            source=lane.bundle.source,
            target=lane.bundle.target,
            kind=lane.bundle.kind,
            taken=lane.bundle.taken,
            reason=lane.bundle.reason,
            points=tuple(points if lane.downward else reversed(points)),
            label=text.at(x + BESIDE, middle),
        )

    def _end(self, name: str, number: int, *, upper: bool) -> Iterator[Point]:
        """Yield an end of a lane: where it reaches its box or the frame, then its bends."""
        x = self._columns.lanes[number]
        rect = self._rects[name] if name else self._frame_rect
        assert rect is not None, "a way out of the frame, and no frame"
        edge = rect.bottom if upper else rect.y
        if (name, number) not in self._tracks:
            yield x, edge
            return
        row, distance, port = self._plan.rows[name], self._tracks[name, number], self._columns.port(name, number)
        y = self._bottom[row] + distance if upper else self._top[row] - distance
        yield from ((port, edge), (port, y), (x, y))

    def _bridge(self, bundle: Bundle) -> Arrow:
        source, target = self._rects[bundle.source], self._rects[bundle.target]
        y = source.y + source.height / 2
        ends = (source.x, target.right) if source.x > target.x else (source.right, target.x)
        text = self._bridge_label
        return Arrow(
            arcs=bundle.arcs,
            source=bundle.source,
            target=bundle.target,
            kind=bundle.kind,
            taken=bundle.taken,
            reason=bundle.reason,
            points=((ends[0], y), (ends[1], y)),
            label=text.at((ends[0] + ends[1] - text.width) / 2, y - 6 - text.height),
        )


def _legend(*, run: bool) -> Block:
    return block(
        [
            (
                [
                    Run("How to read it:", "meaning"),
                    *([Run("how often ×", "count")] if run else []),
                    Run("trigger", "trigger"),
                    Run("[what the memory must satisfy]", "guard"),
                    Run("→ command", "command"),
                    Run("how long", "figure"),
                    Run("what becomes of the memory", "memory"),
                ],
                (),
            )
        ],
        800.0 if run else 700.0,
    )


def _width(widths: Sequence[float], line: Sequence[int]) -> float:
    return sum(widths[each] for each in line) + GAP * (len(line) - 1)


def _flowed(widths: Sequence[float], room: float) -> list[list[int]]:
    """Return which of some blocks stand beside each other: as many as there is room for in each line."""
    lines: list[list[int]] = []
    for number in range(len(widths)):
        if lines and _width(widths, [*lines[-1], number]) <= room:
            lines[-1].append(number)
        else:
            lines.append([number])
    return lines
