"""Where everything in a picture is: boxes, arrows and labels, in pixels. Writing it down is another module's work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from .model import Box

__all__ = ["Arrow", "Kind", "Layout", "Line", "Loop", "Placed", "Point", "Rect", "Run", "Style"]

Kind: TypeAlias = Literal["happy", "renewal", "trouble", "plain"]
"""What an arc or a state means for the session: it polls, it is set up anew, it waits, or nothing of these."""
Style: TypeAlias = Literal["name", "meaning", "count", "trigger", "guard", "command", "figure", "memory"]
Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A rectangle; y grows downward."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text in one style."""

    text: str
    style: Style


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    A line of text.

    Attributes:
        rect: What it covers; the text begins at its left edge.
        baseline: The y on which the letters stand.
        runs: The text.
        arcs: The ids of the arcs that this line speaks of: those of one row of the table. Empty if it speaks of no row.
    """

    rect: Rect
    baseline: float
    runs: tuple[Run, ...]
    arcs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """
    One arrow, for all rows with the same ends and the same command.

    Attributes:
        arcs: The ids of all arcs that it stands for, those of one row together.
        source: The name of a state, or empty: it leaves from the frame, that is from each state in it.
        target: The name of a state.
        kind: What it means.
        taken: How often a run took it; ``None`` if no run is drawn.
        reason: Every trigger with its reason, one in a line.
        points: The corners of its path, from source to target; each part is horizontal or vertical.
        label: What is written at it.
    """

    arcs: tuple[tuple[str, ...], ...]
    source: str
    target: str
    kind: Kind
    taken: int | None
    reason: str
    points: tuple[Point, ...]
    label: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """An arrow from a state to itself, written inside the box; *icon* is the middle of its sign, a round arrow."""

    arcs: tuple[tuple[str, ...], ...]
    kind: Kind
    taken: int | None
    reason: str
    icon: Point
    label: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A state with its place; *lines* are its name and its meaning, or what a run made of it."""

    box: Box
    kind: Kind
    rect: Rect
    lines: tuple[Line, ...]
    loops: tuple[Loop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """
    A whole picture.

    Attributes:
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        boxes: Every state.
        arrows: Every arrow between two states.
        frame: What the states in the frame lie in, if there is one.
        framed: The names of these states.
        entry: The path of the arrow without a source into the initial state, from its dot.
        notes: Lines that belong to no arc: the frame's title, and how to read the picture.
    """

    width: float
    height: float
    boxes: tuple[Placed, ...]
    arrows: tuple[Arrow, ...]
    frame: Rect | None
    framed: tuple[str, ...]
    entry: tuple[Point, ...]
    notes: tuple[Line, ...]
