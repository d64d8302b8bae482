"""A stretch of a run as a Mermaid sequence diagram, which GitHub and many editors show as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from sessionfsm.diagram.words import wrapped
from sessionfsm.verify.counterexample import PARTICIPANTS, escaped

from .run import Run
from .sequence_rows import Answered, Asked, Changed, Row, Waited
from .sequence_story import MOST, story_of
from .sequence_words import NAMES, moment
from .times import moment_of
from .words import cut_off

__all__ = ["sequence_mermaid"]

WIDTH = 60
"""Characters in a line. Mermaid breaks none by itself."""

# Markup, formulas and comments to Mermaid, besides what ends a statement.
_MORE = str.maketrans({"$": " ", "%": " ", "&": "+", "\\": "/"})


def sequence_mermaid(run: Run, *, most: int = MOST) -> str:
    """
    Return what session and server said to each other as Mermaid text, with the words of the counterexamples.

    Args:
        most: How many exchanges are told; then the last line says where to go on.

    Raises:
        DefinitionError: If *most* is less than one.
    """
    story = story_of(run, most=most)
    title = f"{cut_off(run.whose, 80)}, {moment(run.from_s)} to {moment(run.until_s)}"
    lines = [
        *PARTICIPANTS,
        f"Note over S,W: {_plain(title)}<br/>{_plain(f'The run began {moment_of(run.began_s)}')}",
        f"Note over S: {_plain(f'state {cut_off(story.state)}')}",
        *(line for row in story.rows for line in _row(row)),
        *(f"Note over S,W: {_plain(sentence)}" for sentence in story.end),
    ]
    return "\n".join(["sequenceDiagram", *(f"    {line}" for line in lines)]) + "\n"


def _row(row: Row) -> Iterator[str]:
    # A time stands first: at the beginning of a text Mermaid looks for words of its own, such as "wrap".
    time = moment(row.at_s)
    match row:
        case Asked(exchange=exchange):
            yield f"S->>W: {_plain(f'{time} {exchange.asked}')}"
        case Answered(exchange=exchange, apart=apart):
            name = f"{NAMES[exchange.kind]}: " if apart else ""
            told = ", ".join(filter(None, (exchange.answer, exchange.seen)))
            yield f"W-{'-x' if exchange.outcome in ('lost', 'cut') else '->>'}S: {_plain(f'{time} {name}{told}')}"
        case Changed():
            yield f"Note over S: {'<br/>'.join(_plain(each) for each in _told(row, time))}"
        case Waited(what=what, end=end):
            told = ", ".join(filter(None, (what, end)))
            yield f"Note over S: {_plain(f'{time} {told}')}"


def _told(row: Changed, time: str) -> Iterator[str]:
    change = f": {cut_off(row.source)} → {cut_off(row.target)}" if row.source != row.target else ""
    yield f"{time} {cut_off(row.trigger)}{change}"
    yield from filter(None, (cut_off(row.reason), cut_off(row.detail)))
    yield from (f"signal {cut_off(name)} is up" for name in row.raised)
    yield from (f"signal {cut_off(name)} is down" for name in row.cleared)


def _plain(text: str) -> str:
    words = escaped(text).translate(_MORE).split()
    pieces = [word[at : at + WIDTH] for word in words for at in range(0, len(word), WIDTH)]
    return "<br/>".join(wrapped(pieces, WIDTH))
