"""Where everything in a sequence diagram is, in pixels: one row under the other, as high as their words need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sessionfsm.diagram import Diagram
from sessionfsm.diagram.layout import Kind, Line, Rect, Run, Style
from sessionfsm.diagram.layout_arrows import kind_of_state
from sessionfsm.diagram.layout_text import GLUE, Block, block
from sessionfsm.diagram.text_width import MARGIN as WIDENED

from .sequence_rows import Answered, Asked, Changed, Exchange, Row, Story, Waited
from .sequence_words import NAMES, moment
from .words import cut_off

__all__ = ["CLIENT", "SERVER", "WIDTH", "Bar", "Flag", "Pill", "Placed", "Sheet", "place"]

WIDTH = 830.0
"""Of the picture: that of a page on which it is looked at."""
MARGIN = 16.0
TIME_ROOM = 96.0
CLIENT = 194.0
"""The x of the session's lifeline."""
SERVER = 774.0
"""The x of the server's."""
HALF = 6.0
"""Half the breadth of a bar."""
TEXT = CLIENT + HALF + 12.0
ROOM = SERVER - HALF - 14.0 - TEXT
PILL_ROOM = 2 * (CLIENT - MARGIN - TIME_ROOM - 10.0) - 2 * 10.0
"""The widest that a state's name is; what does not fit is broken."""
BESIDE = 2 * CLIENT - (MARGIN + TIME_ROOM + 10.0) + 10.0
"""Where a text begins beside a state."""
FLAG = 18.0
"""How far the words of a signal stand in."""
HEADS = (("session", CLIENT), ("server", SERVER))
HEAD_HEIGHT = 28.0

BarStyle: TypeAlias = Literal["state", "gap", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch of a lifeline: a state, a wait (``gap``), or a request that the server has (``held``)."""

    style: BarStyle
    kind: Kind
    x: float
    top: float
    bottom: float
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pill:
    """A box with its name: a state on the session's lifeline, or who a lifeline belongs to."""

    kind: Kind
    rect: Rect
    lines: tuple[Line, ...]
    tip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """The sign of a signal, at its top left corner, and its words."""

    kind: Kind
    x: float
    y: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """
    A row.

    Attributes:
        row: What it tells.
        kind: Its colour.
        lines: Its words.
        arrow: The y of its arrow; ``None`` without one.
        flags: A flag for each signal that goes up or down.
    """

    row: Row
    kind: Kind
    lines: tuple[Line, ...]
    arrow: float | None = None
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """
    A whole picture.

    Attributes:
        height: Of it.
        title: What it is of, above; and how it ends, below.
        top: Where the lifelines begin.
        bottom: Where they end.
        bars: What lies on them.
        pills: States, and the heads of the lifelines.
        rows: What happened.
    """

    height: float
    title: tuple[Line, ...]
    top: float
    bottom: float
    bars: tuple[Bar, ...]
    pills: tuple[Pill, ...]
    rows: tuple[Placed, ...]


def place(story: Story, diagram: Diagram, title: str, subtitle: str) -> Sheet:
    """Return the picture of *story*, which is one of a run on *diagram*."""
    return _Placing(story, diagram).sheet(title, subtitle)


def _text(room: float, *texts: tuple[tuple[Style, str], ...]) -> Block:
    return block([([Run(words, style) for style, words in text if words], ()) for text in texts if text], room)


class _Placing:
    def __init__(self, story: Story, diagram: Diagram) -> None:
        self._story = story
        self._diagram = diagram
        self._y = MARGIN
        self._bars: list[Bar] = []
        self._pills: list[Pill] = []
        self._rows: list[Placed] = []
        self._state = story.state
        self._since = 0.0  # the y where the state's bar begins
        self._waiting: Waited | None = None
        self._held: dict[int, float] = {}
        self._time = ""

    def sheet(self, title: str, subtitle: str) -> Sheet:
        head = _text(WIDTH - 2 * MARGIN, (("name", title),), (("meaning", subtitle),))
        lines = list(head.at(MARGIN, self._y))
        self._y += head.height + 12
        for name, x in HEADS:
            self._pill(name, x, self._y, "plain", 120.0, "")
        self._y += HEAD_HEIGHT + 12
        top = self._y - 12
        self._since = self._y
        self._enter(self._story.state, self._y)
        self._y += self._pills[-1].rect.height + 8
        for row in self._story.rows:
            self._row(row)
        self._y += 4
        self._leave(self._y)
        bottom = self._y + 8
        end = _text(WIDTH - 2 * MARGIN, *((("meaning", sentence),) for sentence in self._story.end))
        lines += end.at(MARGIN, bottom + 8)
        return Sheet(
            height=round(bottom + 8 + end.height + MARGIN),
            title=tuple(lines),
            top=top,
            bottom=bottom,
            bars=tuple(self._bars),
            pills=tuple(self._pills),
            rows=tuple(self._rows),
        )

    def _row(self, row: Row) -> None:
        time = self._clock(row)
        match row:
            case Asked(exchange=exchange):
                text = _text(ROOM, (("trigger", exchange.asked),))
                self._arrow(row, text, time, _colour(exchange, answered=False))
            case Answered(exchange=exchange, apart=apart):
                name = f"{NAMES[exchange.kind]}: " if apart else ""
                text = _text(ROOM, (("trigger", f"{name}{exchange.answer}"), ("meaning", _beside(exchange.seen))))
                self._arrow(row, text, time, _colour(exchange, answered=True))
            case Changed():
                self._changed(row, time)
            case Waited():
                self._waited(row, time)

    def _clock(self, row: Row) -> Block:
        """Return the time of a row; of an exchange always, else if it is not that of the row above."""
        time = moment(row.at_s)
        told = time != self._time or isinstance(row, Asked | Answered)
        self._time = time
        # A figure stays with its unit.
        pieces = re.sub(r"(?<=\d) ", GLUE, time)
        return _text(TIME_ROOM, (("figure", pieces),) if told else ())

    def _arrow(self, row: Asked | Answered, text: Block, time: Block, kind: Kind) -> None:
        y = self._y
        arrow = y + text.height + 5
        lines = (*time.at(MARGIN, y + 0.8), *text.at(TEXT, y))
        self._rows.append(Placed(row=row, kind=kind, lines=lines, arrow=arrow))
        self._y = max(arrow + 7, y + time.height + 4)
        exchange = row.exchange
        if isinstance(row, Asked):
            self._held[id(exchange)] = arrow
        elif exchange.kind != "send":  # sends go beside what the server holds
            kind = _colour(exchange, answered=False)
            begin = self._held[id(exchange)]
            self._bars.append(Bar(style="held", kind=kind, x=SERVER, top=begin, bottom=arrow, tip=exchange.asked))

    def _changed(self, row: Changed, time: Block) -> None:
        changes = row.target != row.source
        x, room = (BESIDE, SERVER - HALF - 14 - BESIDE) if changes else (TEXT, ROOM)
        told = _text(
            room,
            (("trigger", cut_off(row.trigger)), ("meaning", _beside(cut_off(row.reason)))),
            (("meaning", cut_off(row.detail)),) if row.detail else (),
        )
        kind = kind_of_state(self._diagram, row.target)
        signals: list[tuple[Kind, str]] = [("trouble", f"signal {cut_off(name)} is up") for name in row.raised]
        signals += [(kind, f"signal {cut_off(name)} is down") for name in row.cleared]
        texts = [_text(room - FLAG, (("command", words),)) for _, words in signals]
        y = self._y + 2
        height = told.height + sum(text.height for text in texts)
        over = self._waiting is not None and row.at_s >= self._waiting.until_s
        if changes or over:
            self._leave(y)
        if over:
            self._waiting = None
        below = max(0.0, (self._enter(row.target, y).rect.height - height) / 2) if changes else 0.0
        lines = (*time.at(MARGIN, y + below + 0.8), *told.at(x, y + below))
        at = y + below + told.height
        flags = []
        for (sign, _), text in zip(signals, texts, strict=True):
            flags.append(Flag(kind=sign, x=x + 2, y=at, lines=text.at(x + FLAG, at)))
            at += text.height
        self._rows.append(Placed(row=row, kind=kind, lines=lines, flags=tuple(flags)))
        bottom = max(at, y + below + time.height)
        if changes:
            bottom = max(bottom, self._pills[-1].rect.bottom)
        self._y = bottom + 8

    def _waited(self, row: Waited, time: Block) -> None:
        text = _text(ROOM, (("trigger", row.what), ("meaning", _beside(row.end))))
        y = self._y
        self._leave(y)
        self._waiting = row
        kind = kind_of_state(self._diagram, self._state)
        self._rows.append(Placed(row=row, kind=kind, lines=(*time.at(MARGIN, y + 0.8), *text.at(TEXT, y))))
        self._y = max(y + text.height, y + time.height) + 8

    def _enter(self, state: str, y: float) -> Pill:
        self._state = state
        kind = kind_of_state(self._diagram, state)
        meaning = next((box.meaning for box in self._diagram.boxes if box.name == state), "")
        pill = self._pill(state, CLIENT, y, kind, PILL_ROOM, f"{cut_off(state)}: {cut_off(meaning)}")
        self._since = pill.rect.bottom
        return pill

    def _leave(self, y: float) -> None:
        """End the bar of the state, or of the wait, at *y*; another one begins."""
        style: BarStyle = "gap" if self._waiting else "state"
        tip = self._waiting.what if self._waiting else cut_off(self._state)
        kind = kind_of_state(self._diagram, self._state)
        if y > self._since:
            self._bars.append(Bar(style=style, kind=kind, x=CLIENT, top=self._since, bottom=y, tip=tip))
        self._since = y

    def _pill(self, name: str, x: float, y: float, kind: Kind, room: float, tip: str) -> Pill:
        text = _text(room, (("command", cut_off(name)),))
        rect = Rect(x=x - text.width / 2 - 10, y=y, width=text.width + 20, height=text.height + 8)
        # A text is some percent narrower than the room that is kept for it: so it looks as if it were in the middle.
        pill = Pill(kind=kind, rect=rect, lines=text.at(x - text.width / 2 / WIDENED, y + 4), tip=tip)
        self._pills.append(pill)
        return pill


def _colour(exchange: Exchange, *, answered: bool) -> Kind:
    if answered and exchange.outcome != "good":
        return "plain" if exchange.outcome == "cut" else "trouble"
    kinds: dict[str, Kind] = {"poll": "happy", "renew": "renewal"}
    return kinds.get(exchange.kind, "plain")


def _beside(text: str) -> str:
    """Return what stands behind something else in its line."""
    return f"· {text}" if text else ""
