"""Texts of a picture, broken into lines of known width."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .layout import Line, Rect, Run, Style
from .layout_arrows import Bundle
from .model import Arc, sum_of
from .text_width import fits, text_width
from .words import shown

__all__ = ["LABEL_WIDTH", "SIZES", "Block", "block", "label_of", "measure", "summary_of"]

SIZES: dict[Style, float] = {
    "name": 17,
    "meaning": 12,
    "count": 12,
    "trigger": 13,
    "guard": 12,
    "command": 13,
    "figure": 12,
    "memory": 11,
}
BOLD: frozenset[Style] = frozenset({"name", "command", "count"})

LABEL_WIDTH = 178.0
"""The widest that a label is, in pixels."""
LONGEST = 60
"""Characters of a word that are shown; the rest of a longer one is in the tooltip only."""
INDENT = 10.0
"""How far the second line of a text that is broken stands in."""
ROUNDING = 0.01
"""What a sum of widths may exceed its room by, added up in another order."""
GLUE = "\u00a0"
"""A blank at which no line is broken. It is written as a plain one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines, placed from (0, 0)."""

    width: float
    height: float
    lines: tuple[Line, ...]

    def at(self, x: float, y: float) -> tuple[Line, ...]:
        """Return the lines, moved."""
        return tuple(
            replace(
                line,
                rect=replace(line.rect, x=line.rect.x + x, y=line.rect.y + y),
                baseline=line.baseline + y,
            )
            for line in self.lines
        )


def measure(runs: Iterable[Run]) -> float:
    """Return the width of a line."""
    return sum(text_width(run.text, SIZES[run.style], bold=run.style in BOLD) for run in runs)


def block(
    texts: Sequence[tuple[Sequence[Run], tuple[str, ...]]], room: float = LABEL_WIDTH, *, indent: float = INDENT
) -> Block:
    """
    Return texts, each with the ids of the arcs it speaks of, one under the other, broken where they exceed *room*.

    A run is broken at its blanks, or anywhere if a word does not fit by itself; :data:`GLUE` is a blank that stays.
    """
    lines: list[Line] = []
    y = 0.0
    for runs, arcs in texts:
        for number, broken in enumerate(_broken(runs, room, indent)):
            size = max(SIZES[run.style] for run in broken)
            height = round(size * 1.3, 1)
            lines.append(
                Line(
                    rect=Rect(x=indent if number else 0.0, y=y, width=measure(broken), height=height),
                    baseline=y + round(size * 0.98, 1),
                    runs=broken,
                    arcs=arcs,
                )
            )
            y += height
    return Block(width=max((line.rect.right for line in lines), default=0.0), height=y, lines=tuple(lines))


def label_of(bundle: Bundle, room: float = LABEL_WIDTH) -> Block:
    """Return what is written at an arrow: its rows, the command, and what is remembered."""
    memories = {row[0].updates for row in bundle.rows}
    texts: list[tuple[list[Run], tuple[str, ...]]] = []
    for row in bundle.rows:
        ids = tuple(arc.id for arc in row)
        texts.append(([*_count(row), *_runs(("trigger", row[0].trigger)), *_guards(row[0].guards, room)], ids))
        if len(memories) > 1 and row[0].updates:
            texts.append((_memory(row[0].updates), ids))
    first = bundle.rows[0][0]
    if first.command:
        texts.append(([*_runs(("command", f"→ {first.command}")), *_glued("figure", first.figure)], ()))
    if len(memories) == 1 and first.updates:
        texts.append((_memory(first.updates), ()))
    return block(texts, room)


def summary_of(bundle: Bundle) -> Block:
    """Return the triggers of an arrow, each once and those that a run took first: two, or one and how many more."""
    triggers: dict[str, tuple[str, ...]] = {}
    for row in bundle.rows:
        triggers[row[0].trigger] = triggers.get(row[0].trigger, ()) + tuple(arc.id for arc in row)
    counted = {name: [arc for row in bundle.rows for arc in row if arc.trigger == name] for name in triggers}
    often = {name: sum_of(arc.taken for arc in arcs) or 0 for name, arcs in counted.items()}
    named = sorted(triggers, key=lambda name: -often[name])[: 2 if len(triggers) < 3 else 1]
    texts = [([*_count(counted[name]), *_runs(("trigger", name))], triggers[name]) for name in named]
    if len(triggers) > len(named):
        texts.append((_runs(("guard", f"and {len(triggers) - len(named)} more")), ()))
    return block(texts)


def _runs(*parts: tuple[Style, str]) -> list[Run]:
    return [Run(shown(text), style) for style, text in parts if text]


def _count(arcs: Iterable[Arc]) -> list[Run]:
    """Return how often a run took these arcs, if it took them at all."""
    taken = sum_of(arc.taken for arc in arcs)
    return _glued("count", f"{taken:,} ×") if taken else []


def _glued(style: Style, *texts: str) -> list[Run]:
    """Return texts that are not broken inside."""
    return [Run(shown(text).replace(" ", GLUE), style) for text in texts if text]


def _guards(guards: Sequence[str], room: float) -> list[Run]:
    """Return guards in brackets: in one piece if a line has room for that, else each in one piece."""
    whole = _glued("guard", f"[{', '.join(guards)}]" if guards else "")
    if measure(whole) <= room - INDENT:
        return whole
    last = len(guards) - 1
    return _glued(
        "guard", *(f"{'' if at else '['}{guard}{',' if at < last else ']'}" for at, guard in enumerate(guards))
    )


def _memory(updates: Sequence[str]) -> list[Run]:
    pieces = [piece.replace(" = ", f"{GLUE}={GLUE}").replace(" + ", f"{GLUE}+{GLUE}") for piece in _remembered(updates)]
    return [Run(GLUE.join(map(shown, piece.split(GLUE))), "memory") for piece in pieces]


def _remembered(updates: Sequence[str]) -> list[str]:
    """Return changes of the memory, those to the same value together: ``waits, denials = 0``."""
    parts = [update.rpartition(" = ") for update in updates]
    if len({name for name, _, _ in parts}) < len(parts):
        return _listed(updates)  # the order says something
    values: dict[str, list[str]] = {}
    for name, equals, value in parts:
        values.setdefault(value if equals else f"+{value}", []).append(name if equals else value)
    return _listed(
        [
            f"{', '.join(names)} = {value}" if not value.startswith("+") else ", ".join(names)
            for value, names in values.items()
        ]
    )


def _listed(parts: Sequence[str]) -> list[str]:
    return [f"{part};" for part in parts[:-1]] + [parts[-1]]


def _broken(runs: Sequence[Run], room: float, indent: float) -> Iterator[tuple[Run, ...]]:
    line: list[Run] = []
    left = room
    for word in itertools.chain.from_iterable(map(_words, runs)):
        if line and measure(_joined([*line, word])) > left + ROUNDING:
            yield _joined(line)
            line, left = [], room - indent
        while measure([word]) > left + ROUNDING and len(word.text) > 1:
            end = fits(word.text, left, SIZES[word.style], bold=word.style in BOLD)
            yield _joined([replace(word, text=word.text[:end])])
            word, left = replace(word, text=word.text[end:]), room - indent
        line.append(word)
    yield _joined(line)


def _words(run: Run) -> Iterator[Run]:
    for text in run.text.split(" "):
        yield replace(run, text=text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _joined(words: Sequence[Run]) -> tuple[Run, ...]:
    """Return words with blanks between them, those of one style as one run."""
    runs: list[Run] = []
    for word in words:
        word = replace(word, text=word.text.replace(GLUE, " "))
        if runs and runs[-1].style == word.style:
            runs[-1] = replace(word, text=f"{runs[-1].text} {word.text}")
        else:
            if runs:
                runs[-1] = replace(runs[-1], text=f"{runs[-1].text} ")
            runs.append(word)
    return tuple(runs)
