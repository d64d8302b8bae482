"""A stretch of a run as a sequence diagram: session and server, from above downward, in order and not to scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from sessionfsm.diagram.ink import Scheme, colours_of, number, rectangle, style_sheet, text_of
from sessionfsm.diagram.layout import Kind, Line, Rect, Style
from sessionfsm.diagram.layout_text import BOLD, SIZES
from sessionfsm.diagram.text_width import FONTS

from .run import Run
from .sequence_layout import CLIENT, HALF, SERVER, WIDTH, Bar, Flag, Pill, Placed, Sheet, place
from .sequence_mermaid import sequence_mermaid
from .sequence_rows import Answered, Asked, Changed, Row, Waited
from .sequence_story import MOST, story_of
from .sequence_words import NAMES, PATHS, moment
from .times import moment_of
from .words import cut_off

__all__ = ["sequence_mermaid", "sequence_svg"]

HEAD = 9.0
CROSS = 4.5
_INK: Mapping[Style, str] = {
    "name": "ink",
    "meaning": "soft",
    "trigger": "ink",
    "command": "line",
    "figure": "soft",
}


def sequence_svg(run: Run, *, scheme: Scheme = "auto", most: int = MOST) -> str:
    """
    Return what session and server said to each other as an SVG document, the same for the same run to the last byte.

    Time runs downward, and each row has its time: how far apart two rows are says nothing. Polls that brought nothing
    and changed nothing are told as one. Texts of others are told up to 300 characters.

    The rows have ``data-at``, and those of an exchange or a wait ``data-from`` and ``data-until``: seconds since the
    run began. What a record tells of has its number as ``data-record``.

    Args:
        scheme: ``auto`` is dark where the reader prefers that, and light wherever it is not known.
        most: How many exchanges are told; then the last line says where to go on. For a stretch of a run see
            :meth:`~sessionfsm.show.Run.between`.

    Raises:
        DefinitionError: If *most* is less than one.
    """
    story = story_of(run, most=most)
    title = f"{cut_off(run.whose, 80)}, {moment(run.from_s)} to {moment(run.until_s)}"
    subtitle = f"The run began {moment_of(run.began_s)}. Each row has its time since then; the picture is not to scale."
    sheet = place(story, run.diagram, title, subtitle)
    colours = colours_of(scheme)
    width, height = number(WIDTH), number(sheet.height)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" class="sessionfsm" role="img" '
        'aria-labelledby="sequence-title sequence-desc" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{FONTS}" font-size="13">',
        f'<title id="sequence-title">{text_of(f"Session and server: {title}")}</title>',
        f'<desc id="sequence-desc">{text_of(" ".join(("A sequence diagram.", subtitle, *story.end)))}</desc>',
        style_sheet(scheme),
        f'<rect class="paper" width="{width}" height="{height}" rx="10" fill="{colours["paper"]}"/>',
        *_Drawing(sheet, colours).parts(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Drawing:
    def __init__(self, sheet: Sheet, colours: Mapping[str, str]) -> None:
        self._sheet = sheet
        self._colours = colours

    def parts(self) -> Iterator[str]:
        yield '<g class="lifelines plain">'
        for x in (CLIENT, SERVER):
            yield self._way((x, self._sheet.top), (x, self._sheet.bottom), "plain", 1, dashed="2 4")
        yield "</g>"
        for bar in self._sheet.bars:
            yield from self._bar(bar)
        for pill in self._sheet.pills:
            yield from self._pill(pill)
        for placed in self._sheet.rows:
            yield from self._row(placed)
        yield '<g class="notes plain">'
        yield from self._lines(self._sheet.title, "plain")
        yield "</g>"

    def _bar(self, bar: Bar) -> Iterator[str]:
        half = HALF if bar.style != "held" else HALF - 1.5
        rect = Rect(x=bar.x - half, y=bar.top, width=2 * half, height=bar.bottom - bar.top)
        line = self._colours[bar.kind]
        if bar.style == "gap":
            look = f'class="paper path" fill="{self._colours["paper"]}" stroke="{line}" stroke-dasharray="3 3"'
        else:
            look = f'class="box" fill="{self._colours[f"{bar.kind}-fill"]}" stroke="{line}" stroke-width="1.2"'
        yield f'<g class="bar {bar.kind}"><title>{text_of(bar.tip)}</title>'
        yield f"{rectangle(rect, 2, look)}</g>"

    def _pill(self, pill: Pill) -> Iterator[str]:
        look = f'class="box" fill="{self._colours[f"{pill.kind}-fill"]}" stroke="{self._colours[pill.kind]}"'
        yield f'<g class="state {pill.kind}">'
        if pill.tip:
            yield f"<title>{text_of(pill.tip)}</title>"
        yield rectangle(pill.rect, 8, f'{look} stroke-width="1.4"')
        yield from self._lines(pill.lines, pill.kind)
        yield "</g>"

    def _row(self, placed: Placed) -> Iterator[str]:
        row = placed.row
        yield f'<g class="{_class(row)} {placed.kind}"{_data(row)}>'
        yield f"<title>{text_of(_tip(row))}</title>"
        if placed.arrow is not None:
            yield from self._arrow(row, placed.arrow, placed.kind)
        yield from self._lines(placed.lines, placed.kind)
        for flag in placed.flags:
            yield f'<g class="signal {flag.kind}">{self._flag(flag)}'
            yield from self._lines(flag.lines, flag.kind)
            yield "</g>"
        yield "</g>"

    def _arrow(self, row: Row, y: float, kind: Kind) -> Iterator[str]:
        left, right = CLIENT + HALF, SERVER - HALF
        if isinstance(row, Asked):
            width = 1.2 if row.exchange.kind == "send" else 1.8
            yield self._way((left, y), (right - HEAD + 1, y), kind, width)
            yield self._head(right, y, -HEAD, kind)
        elif isinstance(row, Answered) and row.exchange.outcome in ("lost", "cut"):
            x = left + CROSS + 3
            yield self._way((right, y), (x, y), kind, 1.4, dashed="5 4")
            yield self._cross(x, y, kind)
        else:
            yield self._way((right, y), (left + HEAD - 1, y), kind, 1.4, dashed="5 4")
            yield self._head(left, y, HEAD, kind)

    def _way(
        self, begin: tuple[float, float], end: tuple[float, float], kind: Kind, width: float, dashed: str = ""
    ) -> str:
        dashes = f' stroke-dasharray="{dashed}"' if dashed else ""
        return (
            f'<path class="path" fill="none" stroke="{self._colours[kind]}" stroke-width="{number(width)}"{dashes} '
            f'd="M{number(begin[0])} {number(begin[1])}L{number(end[0])} {number(end[1])}"/>'
        )

    def _head(self, x: float, y: float, back: float, kind: Kind) -> str:
        return (
            f'<path class="line" fill="{self._colours[kind]}" d="M{number(x)} {number(y)}'
            f'L{number(x + back)} {number(y - 4.5)}L{number(x + back)} {number(y + 4.5)}Z"/>'
        )

    def _cross(self, x: float, y: float, kind: Kind) -> str:
        left, right, top, bottom = (number(each) for each in (x - CROSS, x + CROSS, y - CROSS, y + CROSS))
        return (
            f'<path class="path" fill="none" stroke="{self._colours[kind]}" stroke-width="2" '
            f'd="M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}"/>'
        )

    def _flag(self, flag: Flag) -> str:
        return (
            f'<path class="line" fill="{self._colours[flag.kind]}" '
            f'd="M{number(flag.x)} {number(flag.y + 2)}l9 4.2l-7.4 3.6v5.6h-1.6Z"/>'
        )

    def _lines(self, lines: Sequence[Line], kind: Kind) -> Iterator[str]:
        for line in lines:
            runs = "".join(self._run(run.text, run.style, kind) for run in line.runs)
            yield f'<text x="{number(line.rect.x)}" y="{number(line.baseline)}">{runs}</text>'

    def _run(self, text: str, style: Style, kind: Kind) -> str:
        ink = _INK[style]
        colour = self._colours[kind if ink == "line" else ink]
        bold = ' font-weight="bold"' if style in BOLD else ""
        return f'<tspan class="{ink}" fill="{colour}" font-size="{number(SIZES[style])}"{bold}>{escape(text)}</tspan>'


def _class(row: Row) -> str:
    match row:
        case Asked(exchange=exchange) | Answered(exchange=exchange):
            return f"arrow {'asked' if isinstance(row, Asked) else 'answered'} {exchange.kind} {exchange.outcome}"
        case Changed():
            return "changed"
        case Waited():
            return "waited"


def _data(row: Row) -> str:
    facts: dict[str, str] = {"at": f"{row.at_s:.3f}"}
    match row:
        case Asked(exchange=exchange) | Answered(exchange=exchange):
            facts |= {"from": f"{exchange.from_s:.3f}", "until": f"{exchange.until_s:.3f}"}
            if exchange.number is not None:
                facts["record"] = str(exchange.number)
        case Changed(number=record):
            facts["record"] = str(record)
        case Waited(until_s=until):
            facts |= {"from": f"{row.at_s:.3f}", "until": f"{until:.3f}"}
    return "".join(f' data-{name}="{value}"' for name, value in facts.items())


def _tip(row: Row) -> str:
    """Return what a row says to somebody who looks at it alone."""
    match row:
        case Asked(exchange=exchange):
            told = f"POST {PATHS[exchange.kind]}"
        case Answered(exchange=exchange):
            told = ", ".join(filter(None, (f"{NAMES[exchange.kind]}: {exchange.answer}", exchange.seen)))
        case Changed():
            told = f"{cut_off(row.trigger)}: {cut_off(row.source)} → {cut_off(row.target)}\n{cut_off(row.reason)}"
        case Waited():
            told = ", ".join(filter(None, (row.what, row.end)))
    return f"{moment(row.at_s)}: {told}"
